//! Counting what libtest says.

use std::process::ExitStatus;

/// How many tests did what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: u32,
    pub(super) failed: u32,
    pub(super) ignored: u32,
}

impl Tally {
    /// Reads the closing lines of test programs. A program that fails without one (it did not compile, it
    /// was killed) counts as one failure.
    pub(super) fn read(printed: &str, status: ExitStatus) -> Self {
        let mut tally = Self::default();
        for line in printed.lines().filter_map(|line| line.strip_prefix("test result: ")) {
            let parts = line.split(['.', ';']).filter_map(|part| part.trim().split_once(' '));
            for (number, what) in parts {
                let Ok(number) = number.parse::<u32>() else { continue };
                match what {
                    "passed" => tally.passed += number,
                    "failed" => tally.failed += number,
                    "ignored" => tally.ignored += number,
                    _ => {}
                }
            }
        }
        if !status.success() && tally.failed == 0 {
            tally.failed = 1;
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    const OK: &str = "running 3 tests\n\ntest result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; \
                      4 filtered out; finished in 0.00s\n";
    const BAD: &str = "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; \
                       finished in 1.20s\n";

    fn status(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    #[test]
    fn closing_lines_add_up() {
        let tally = Tally::read(&format!("{OK}{BAD}"), status(101));
        assert_eq!(tally, Tally { passed: 3, failed: 2, ignored: 1 });
    }

    #[test]
    fn a_program_that_dies_without_a_word_is_a_failure() {
        assert_eq!(Tally::read(OK, status(101)), Tally { passed: 2, failed: 1, ignored: 1 });
        assert_eq!(Tally::read("", status(101)).failed, 1);
        assert_eq!(Tally::read(OK, status(0)).failed, 0);
    }

    #[test]
    fn what_a_test_prints_is_not_counted() {
        assert_eq!(Tally::read("  test result: ok. 9 passed\n7 passed; 8 failed\n", status(0)), Tally::default());
    }
}

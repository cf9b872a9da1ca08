//! Counting what libtest says, and the names of what failed.

use std::process::ExitStatus;

/// How many tests did what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: u32,
    pub(super) failed: u32,
    pub(super) ignored: u32,
    /// The tests that failed, each with the first words of its complaint.
    pub(super) failures: Vec<String>,
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
        tally.failures = failures(printed);
        tally
    }
}

/// `name: why` for each test that failed. The complaint is the line behind the one that says where it panicked.
fn failures(printed: &str) -> Vec<String> {
    let names = printed.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    let why = |name: &str| {
        let (_, behind) = printed.split_once(&format!("---- {name} stdout ----"))?;
        let mut lines = behind.lines().skip_while(|line| !line.contains("panicked at")).skip(1);
        lines.find(|line| !line.trim().is_empty())
    };
    names.map(|name| format!("{name}: {}", why(name).unwrap_or("it did not say why"))).collect()
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
        assert_eq!(tally, Tally { passed: 3, failed: 2, ignored: 1, failures: Vec::new() });
    }

    #[test]
    fn a_program_that_dies_without_a_word_is_a_failure() {
        let died = Tally::read(OK, status(101));
        assert_eq!((died.passed, died.failed, died.ignored), (2, 1, 1));
        assert_eq!(Tally::read("", status(101)).failed, 1);
        assert_eq!(Tally::read(OK, status(0)).failed, 0);
    }

    #[test]
    fn what_a_test_prints_is_not_counted() {
        assert_eq!(Tally::read("  test result: ok. 9 passed\n7 passed; 8 failed\n", status(0)), Tally::default());
    }
    #[test]
    fn what_failed_is_named_with_its_complaint() {
        let printed = "test a::b ... ok\ntest c::d ... FAILED\n\nfailures:\n\n---- c::d stdout ----\n\n\
                       thread 'c::d' (7) panicked at tests/c.rs:6:5:\n6 % of a core for nothing\nstack backtrace:\n";
        assert_eq!(Tally::read(printed, status(101)).failures, ["c::d: 6 % of a core for nothing"]);
    }
}

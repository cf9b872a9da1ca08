//! The table of what the guests proved: a line for each case.

use std::{fs, io::Write, path::Path};

use anyhow::Result;

const HEAD: [&str; 7] = ["case", "driver", "kernel", "mode", "frames", "lost", "copies"];

/// Prints the lines of all guests, whose files lie in `folder`; `copies` are calls of the kernel's copying functions.
pub(super) fn print(folder: &Path) -> Result<()> {
    let mut files: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut lines = String::new();
    for file in files {
        lines.push_str(&fs::read_to_string(file)?);
    }
    std::io::stdout().lock().write_all(text(&lines).as_bytes())?;
    Ok(())
}

/// The cases that failed, each with its reason: a line for the end of a long log.
pub(super) fn failures(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let lines: String = files.filter_map(|file| fs::read_to_string(file.path()).ok()).collect();
    let failed = lines.lines().filter(|line| line.contains("\tFAILED: "));
    failed.map(|line| line.split('\t').take(4).collect::<Vec<_>>().join(", ")).collect()
}

fn text(lines: &str) -> String {
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    rows.extend(lines.lines().map(|line| line.split('\t').map(str::to_owned).collect()));
    let width = |column: usize| {
        rows.iter().filter_map(|row: &Vec<String>| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..HEAD.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::from("\n");
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let lines = "1 to 1\tigb\t7.3.4\tin0 zero-copy\t20000\t0\t0\n";
        let expected = "\n\
            case    driver  kernel  mode           frames  lost  copies\n\
            1 to 1  igb     7.3.4   in0 zero-copy  20000   0     0\n";
        assert_eq!(text(lines), expected);
    }
}

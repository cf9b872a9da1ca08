//! The pages made from results: docs/benchmarks.md for all processors that were tried, and one for each of them.

mod all; // what all of them found
mod head; // before the scenarios
mod possible; // what the machine could do at most
mod asked; // what we ask of MCR
mod scenario; // one scenario
mod foot; // behind them
mod table; // tables in Markdown

#[cfg(test)]
mod tests;

use table::Table;

use super::plot;
use super::results::Results;

/// The folder of the plots, beside the page of a run; and of the pages of processors, beside the page on all of them.
pub const FOLDER: &str = "benchmarks";

/// The page on all processors that were tried, in Markdown.
pub fn render_all(runs: &[Results]) -> String {
    let mut page = Page { text: String::new(), folder: String::new(), plots: Vec::new() };
    all::write(&mut page, runs);
    page.text
}

/// The page on one of them. It lies in [`FOLDER`], and its plots in a folder there that is called like the page.
pub fn render_processor(results: &Results) -> String {
    let mut page = Page::new(results.machine.file_stem(), results);
    head::write_processor(&mut page, results);
    body(page, results)
}

/// The page on a run that is not kept.
pub fn render(results: &Results) -> String {
    let mut page = Page::new(FOLDER.to_owned(), results);
    head::write(&mut page, results);
    body(page, results)
}

fn body(mut page: Page, results: &Results) -> String {
    asked::write(&mut page, results);
    page.text("## The scenarios\n");
    for scenario in &results.scenarios {
        scenario::write(&mut page, scenario);
    }
    foot::write(&mut page, results);
    page.text
}

/// The highest rates as one table, in Markdown.
pub fn in_short(results: &Results) -> String {
    head::in_short(results).to_string()
}

/// A page that grows.
struct Page {
    text: String,
    /// Where its plots are.
    folder: String,
    /// The plots that there are.
    plots: Vec<String>,
}

impl Page {
    fn new(folder: String, results: &Results) -> Self {
        let plots = plot::plots(results).into_iter().map(|(file, _)| file).collect();
        Self { text: String::new(), folder, plots }
    }

    /// A block of text that ends with its line; an empty line goes before it.
    fn text(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(text);
    }

    fn table(&mut self, table: &Table) {
        if !table.is_empty() {
            self.text(&table.to_string());
        }
    }

    /// Shows a plot if there is one.
    fn plot(&mut self, file: &str, about: &str) {
        if self.plots.iter().any(|plot| plot == file) {
            let folder = &self.folder;
            self.text(&format!("![{about}]({folder}/{file})\n"));
        }
    }
}

//! The page docs/benchmarks.md, made from results.

mod head; // before the scenarios
mod asked; // what we ask of MCR
mod scenario; // one scenario
mod foot; // behind them
mod table; // tables in Markdown

#[cfg(test)]
mod tests;

use table::Table;

use super::plot;
use super::results::Results;

/// The folder of the plots, beside the page.
pub const PLOTS: &str = "benchmarks";

/// The page, in Markdown.
pub fn render(results: &Results) -> String {
    let plots = plot::plots(results).into_iter().map(|(file, _)| file).collect();
    let mut page = Page { text: String::new(), plots };
    head::write(&mut page, results);
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
    /// The plots that there are.
    plots: Vec<String>,
}

impl Page {
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
            self.text(&format!("![{about}]({PLOTS}/{file})\n"));
        }
    }
}

//! The report as one page: no script, nothing loaded from anywhere, readable on paper and aloud.
//!
//! Same report, same bytes. Every value goes through the templating library's escaping; figures are in `figures`, the parts of
//! the page in `parts`.

mod figures;
mod parts;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Report;

pub(crate) use crate::history::words::grouped;

const STYLE: &str = include_str!("style.css");

type Part = fn(&Report) -> Markup;

/// The parts of the page: anchor, heading, what writes it.
const PARTS: [(&str, &str, Part); 12] = [
    ("summary", "Summary", parts::summary),
    ("controls", "Control matrix", parts::controls),
    ("integrity", "Integrity of the log", parts::integrity),
    ("studies", "Studies", parts::studies),
    ("deidentification", "De-identification", parts::deidentification),
    ("incidents", "Quarantine, failures and warnings", parts::incidents),
    ("replays", "Replays", parts::replays),
    ("access", "Access", parts::access),
    ("disclosures", "Disclosures, and what this report cannot show", parts::not_shown),
    ("check", "Appendix A: how to check this without our software", parts::check),
    ("sample", "Appendix B: a sample drawn by the seal", parts::sample),
    ("glossary", "Appendix C: words", parts::glossary),
];

/// Returns the page.
pub fn render(report: &Report) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Compliance report: " (parts::scope(report)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#summary" { "To the summary" }
                header { (parts::cover(report)) }
                main {
                    nav aria-label="Contents" {
                        ol { @for (anchor, heading, _) in PARTS { li { a href=(format!("#{anchor}")) { (heading) } } } }
                    }
                    @for (anchor, heading, part) in PARTS {
                        section aria-labelledby=(anchor) { h2 id=(anchor) { (heading) } (part(report)) }
                    }
                    (parts::sign_off())
                }
                footer {
                    "Made by " (report.generator) " from " (grouped(report.seal.size)) " entries of the log " (report.seal.origin)
                    ". The same entries give the same bytes; no time of making is printed. Engineering evidence, not legal advice."
                }
            }
        }
    };
    page.into_string()
}

//! By which checkpoint entries are sealed, said once for a run of them.

use handlers::joined::Sealing;

use super::colour::{Style, Tone};

/// Returns one line for the entries of a stream: each by its number, and the checkpoint that seals it.
pub(crate) fn line(entries: &[(u64, Option<Sealing>)], style: Style) -> String {
    let mut runs: Vec<(u64, u64, Option<Sealing>)> = Vec::new();
    for (seq, sealing) in entries {
        match runs.last_mut() {
            Some((_, last, same)) if same == sealing => *last = *seq,
            _ => runs.push((*seq, *seq, *sealing)),
        }
    }
    let alone = runs.len() == 1;
    let told: Vec<String> = runs
        .into_iter()
        .map(|(first, last, sealing)| {
            let which = match (alone, first == last) {
                (true, _) => String::new(),
                (false, true) => format!("{first} "),
                (false, false) => format!("{first}–{last} "),
            };
            match sealing {
                Some(sealing) => style.paint(Tone::Good, &format!("✓ {which}{}", by(sealing))),
                None => style.paint(Tone::Dim, &format!("– {which}not yet sealed by a checkpoint")),
            }
        })
        .collect();
    format!("  {}\n", told.join(", "))
}

/// Returns the same of one entry, behind which it stands.
pub(crate) fn short(sealing: Option<Sealing>) -> String {
    sealing.map_or_else(|| "not yet sealed".to_owned(), by)
}

fn by(Sealing { size, past }: Sealing) -> String {
    match past {
        None => format!("sealed by checkpoint {size}"),
        Some(past) => format!("sealed by checkpoint {size} of log {past}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(size: u64) -> Option<Sealing> {
        Some(Sealing { size, past: None })
    }

    #[test]
    fn a_checkpoint_is_said_once_for_the_entries_that_it_seals() {
        assert_eq!(line(&[(0, of(9)), (1, of(9))], Style::PLAIN), "  ✓ sealed by checkpoint 9\n");
        let past = Some(Sealing { size: 7, past: Some(0) });
        assert_eq!(
            line(&[(0, past), (1, of(9)), (2, of(9)), (3, None)], Style::PLAIN),
            "  ✓ 0 sealed by checkpoint 7 of log 0, ✓ 1–2 sealed by checkpoint 9, – 3 not yet sealed by a checkpoint\n"
        );
    }
}

//! The only way to standard output and standard error. Standard output is data, standard error is progress and errors.

use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write};

use crate::error::Error;
use crate::ui::colour::Style;

/// Standard output. A reader that has gone away (`medimg history | head`) is no error: what comes later is dropped and
/// the verb ends with the code it would have ended with.
#[derive(Debug)]
pub(crate) struct Output<W: Write = BufWriter<StdoutLock<'static>>> {
    writer: W,
    closed: bool,
    /// Data is for a program: JSON, one object a line.
    pub(crate) json: bool,
    /// A person reads along; only then may a path be printed.
    pub(crate) terminal: bool,
    /// Colours for standard output.
    pub(crate) style: Style,
}

impl Output {
    /// Opens standard output.
    pub(crate) fn open(json: bool) -> Self {
        let terminal = io::stdout().is_terminal() && !json;
        let style = Style::of(terminal);
        Self { writer: BufWriter::with_capacity(64 * 1024, io::stdout().lock()), closed: false, json, terminal, style }
    }
}

impl<W: Write> Output<W> {
    /// Writes text as it is.
    pub(crate) fn text(&mut self, text: impl AsRef<[u8]>) -> Result<(), Error> {
        self.attempt(|writer| writer.write_all(text.as_ref()))
    }

    /// Writes one line.
    pub(crate) fn line(&mut self, line: impl AsRef<str>) -> Result<(), Error> {
        self.attempt(|writer| writeln!(writer, "{}", line.as_ref()))
    }

    /// Writes one JSON object as one line.
    pub(crate) fn object(&mut self, object: &impl serde::Serialize) -> Result<(), Error> {
        self.attempt(|writer| {
            serde_json::to_writer(&mut *writer, object).map_err(io::Error::from)?;
            writer.write_all(b"\n")
        })
    }

    /// Sends what is buffered on its way.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        self.attempt(|writer| writer.flush())
    }

    /// Whether nobody reads any more, so that a verb which only prints may stop.
    pub(crate) const fn closed(&self) -> bool {
        self.closed
    }

    fn attempt(&mut self, write: impl FnOnce(&mut W) -> io::Result<()>) -> Result<(), Error> {
        if self.closed {
            return Ok(());
        }
        match write(&mut self.writer) {
            Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            Err(cause) => Err(Error::Write { what: "standard output", cause }),
            Ok(()) => Ok(()),
        }
    }
}

/// Writes to standard error. Nothing can be done when that fails, so nothing is.
pub(crate) fn note(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone(io::ErrorKind);

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    fn output<W: Write>(writer: W) -> Output<W> {
        Output { writer, closed: false, json: false, terminal: false, style: Style::PLAIN }
    }

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        let mut output = output(Gone(io::ErrorKind::BrokenPipe));
        output.line("first").expect("no error");
        assert!(output.closed());
        output.line("second").expect("no error either");
    }

    #[test]
    fn a_full_disk_behind_standard_output_is_an_error() {
        let mut output = output(Gone(io::ErrorKind::StorageFull));
        assert_eq!(output.line("first").expect_err("an error").code(), "write_failed");
    }

    #[test]
    fn a_json_object_is_one_line() {
        let mut output = output(Vec::new());
        output.object(&serde_json::json!({ "a": "b\nc" })).expect("a vector takes it");
        assert_eq!(output.writer, b"{\"a\":\"b\\nc\"}\n");
    }
}

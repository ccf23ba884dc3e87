//! The person at the keyboard, as the operating system names the user.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};

use domain::Phi;

/// `/etc/passwd` is read up to this many bytes.
const PASSWD_BYTES_MAX: u64 = 4 << 20;

/// Returns the name of the user: that of the user id in `/etc/passwd`, else `$USER`, else the number itself.
pub(crate) fn name() -> Phi<String> {
    let id = rustix::process::getuid().as_raw();
    let variable = || std::env::var("USER").ok().filter(|name| !name.is_empty());
    Phi::new(in_passwd(id).or_else(variable).unwrap_or_else(|| format!("uid {id}")))
}

fn in_passwd(id: u32) -> Option<String> {
    let lines = BufReader::new(File::open("/etc/passwd").ok()?.take(PASSWD_BYTES_MAX)).lines();
    lines.map_while(Result::ok).find_map(|line| name_of(&line, id))
}

/// Returns the name of a line `name:password:id:…` if the id is this one.
fn name_of(line: &str, id: u32) -> Option<String> {
    let mut fields = line.split(':');
    let (name, found) = (fields.next()?, fields.nth(1)?);
    (!name.is_empty() && found.parse() == Ok(id)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_passwd_names_the_user_of_its_third_field() {
        assert_eq!(name_of("jdoe:x:1000:100:J:/home/jdoe:/bin/sh", 1000).as_deref(), Some("jdoe"));
        assert_eq!(name_of("jdoe:x:1000:100:J:/home/jdoe:/bin/sh", 100), None);
        assert_eq!(name_of(":x:0", 0), None);
        assert_eq!(name_of("garbage", 0), None);
    }
}

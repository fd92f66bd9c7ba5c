//! `ringway key new`: a key is made, shown once, and known by its digest from then on.

use crate::admission::key::Minted;
use crate::admission::key::mint;
use crate::cli::Exit;
use crate::cli::KeyFormat;
use crate::cli::KeyNew;
use crate::config;
use ring::rand::SecureRandom;
use ring::rand::SystemRandom;
use std::io;
use std::io::Write;

/// How many digits of the digest make up the name of a key that was given none.
const NAME_DIGITS: usize = 8;

/// Makes a key of the system's randomness. `out` gets two lines: the key, and what is to be put into the config so that it is
/// let in; `note` gets what people should know about them.
///
/// # Errors
/// Those of writing.
pub fn new(asked: &KeyNew, out: &mut dyn Write, note: &mut dyn Write) -> io::Result<Exit> {
    let mut random = [0; 32];
    if SystemRandom::new().fill(&mut random).is_err() {
        writeln!(note, "ringway: the system gives no random numbers")?;
        return Ok(Exit::System);
    }
    write(asked, random, out, note)
}

/// Like [`new`], of these dice.
fn write(
    asked: &KeyNew,
    random: [u8; 32],
    out: &mut dyn Write,
    note: &mut dyn Write,
) -> io::Result<Exit> {
    let minted = mint(random);
    match line(asked, &minted) {
        Ok((line, place)) => {
            writeln!(out, "{}\n{line}", minted.secret)?;
            out.flush()?;
            writeln!(
                note,
                "The first line is the key, for whoever is to use it: it is not shown again, and the gateway never has it.\n\
                 The second line lets it in: put it {place}."
            )?;
            Ok(Exit::Ok)
        }
        Err(why) => {
            writeln!(note, "ringway: {why}")?;
            Ok(Exit::Usage)
        }
    }
}

/// The line of the config, and where to put it.
fn line(asked: &KeyNew, minted: &Minted) -> Result<(String, String), String> {
    let tenant = asked.tenant.as_deref();
    let digest = minted.digest.to_hex();
    let made_up = || format!("key-{}", digest.chars().take(NAME_DIGITS).collect::<String>());
    let id = asked.id.clone().unwrap_or_else(made_up);
    for (flag, name) in [("--id", Some(id.as_str())), ("--tenant", tenant)] {
        name.map_or(Ok(()), config::fits_label).map_err(|why| format!("{flag}: {why}"))?;
    }
    let expires = asked.expires.as_deref().map(config::parse_date).transpose();
    let expires = expires.map_err(|why| format!("--expires: {why}"))?.map(config::show_date);
    match asked.format {
        KeyFormat::Toml => {
            let expires = expires.map_or_else(String::new, |date| format!(", expires = {date}"));
            let line = format!("keys = [{{ id = \"{id}\", sha256 = \"{digest}\"{expires} }}]");
            let place = tenant.map_or_else(
                || "into a [[tenant]] of the config".to_owned(),
                |name| format!("into the [[tenant]] \"{name}\" of the config"),
            );
            Ok((line, format!("{place}, or what is in braces beside the keys that it has")))
        }
        KeyFormat::Jsonl => {
            let Some(tenant) = tenant else {
                return Err(
                    "a line of a key file says whose key it is: add --tenant NAME".to_owned()
                );
            };
            let expires =
                expires.map_or_else(String::new, |date| format!(",\"expires\":\"{date}\""));
            // Names fit a label, so there is nothing to escape.
            let line = format!(
                "{{\"sha256\":\"{digest}\",\"tenant\":\"{tenant}\",\"id\":\"{id}\"{expires}}}"
            );
            Ok((
                line,
                "into the file that [keys] path names, or into a *.jsonl of that folder".to_owned(),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::key::KeyDigest;
    use crate::admission::key::is_minted;

    fn made(asked: &KeyNew) -> (Exit, Vec<String>, String) {
        let (mut out, mut note) = (Vec::new(), Vec::new());
        let exit = write(asked, [7; 32], &mut out, &mut note).unwrap();
        let lines = String::from_utf8(out).unwrap().lines().map(str::to_owned).collect();
        (exit, lines, String::from_utf8(note).unwrap())
    }

    fn asked(tenant: &str, id: &str, expires: &str, format: KeyFormat) -> KeyNew {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        KeyNew { tenant: given(tenant), id: given(id), expires: given(expires), format }
    }

    #[test]
    fn the_line_lets_in_what_was_printed() {
        let asked = asked("acme", "laptop", "2027-01-01", KeyFormat::Toml);
        let (exit, lines, note) = made(&asked);
        assert_eq!((exit, lines.len()), (Exit::Ok, 2));
        assert!(is_minted(&lines[0]) && !note.contains(&lines[0]), "{note}");
        let text = format!("[[tenant]]\nname = \"acme\"\n{}\n", lines[1]);
        let (file, _) = config::read(&text, "a.toml");
        let key = &file.tenants[0].keys[0];
        assert_eq!((key.id.as_str(), key.expires_unix_s), ("laptop", Some(1_798_761_600)));
        let hex: String = key.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(KeyDigest::from_hex(&hex), Some(KeyDigest::of(lines[0].as_bytes())));
    }

    #[test]
    fn a_line_of_a_key_file_is_read_by_its_reader() {
        for (id, expires) in [("laptop", ""), ("", "2027-01-01T12:00:00Z")] {
            let (exit, lines, _) = made(&asked("acme", id, expires, KeyFormat::Jsonl));
            assert_eq!(exit, Exit::Ok);
            let (file, errors) = config::keys::read(&lines[1], "keys.jsonl");
            assert_eq!(errors, []);
            let line = &file.lines[0];
            assert_eq!(
                (file.tenant(line), line.expires_unix_s.is_some()),
                ("acme", !expires.is_empty())
            );
            assert_eq!(line.id.starts_with("key-"), id.is_empty());
        }
    }

    #[test]
    fn what_cannot_be_is_said_and_no_key_is_made() {
        for (asked, says) in [
            (asked("", "", "", KeyFormat::Jsonl), "--tenant NAME"),
            (asked("", "my key", "", KeyFormat::Toml), "--id: goes into a header"),
            (asked("a,b", "", "", KeyFormat::Toml), "--tenant: goes"),
            (asked("", "", "tomorrow", KeyFormat::Toml), "--expires: \"tomorrow\" is not a date"),
        ] {
            let (exit, lines, note) = made(&asked);
            assert_eq!((exit, lines.len()), (Exit::Usage, 0));
            assert!(note.contains(says), "{note}");
        }
    }
}

//! Takes secrets out of what nodes print, before it gets into a journal, an error or a page.
//!
//! It must never be the only guard: whatever is known to hold a secret is not printed in the first place.

/// What stands in place of a secret.
const MASK: &str = "***";

/// Words that are followed by a secret, in lower case.
const KEYWORDS: [&str; 9] = [
    "password",
    "passwd",
    "secret",
    "admin_token",
    "auth_encryption_key",
    "x-auth-token",
    "x-subject-token",
    "private_key",
    "identified by",
];

/// A text without passwords in addresses (`scheme://user:…@host`) and without values of options that name secrets.
pub(crate) fn redact(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        clean.push_str(&options(&addresses(line)));
        clean.push_str(end);
    }
    clean
}

fn addresses(line: &str) -> String {
    let mut clean = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let end = after
            .find(|letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '/' | '<' | '>'))
            .unwrap_or(after.len());
        let authority = &after[..end];
        match (authority.rfind('@'), authority.find(':')) {
            (Some(sign), Some(colon)) if colon < sign => {
                clean.push_str(&authority[..=colon]);
                clean.push_str(MASK);
                clean.push_str(&authority[sign..]);
            }
            _ => clean.push_str(authority),
        }
        rest = &after[end..];
    }
    clean.push_str(rest);
    clean
}

/// Masks what follows a keyword and a `=` or `:`, up to the end of the word or of its quotes.
fn options(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let mut clean = String::with_capacity(line.len());
    let mut at = 0;
    while at < line.len() {
        let next = KEYWORDS
            .iter()
            .filter_map(|word| lower[at..].find(word).map(|found| (at + found, word.len())))
            .min();
        let Some((found, length)) = next else { break };
        let after = found + length;
        let tail = &line[after..];
        let gap = tail
            .find(|letter: char| !matches!(letter, ' ' | '\t' | '=' | ':' | '"' | '\''))
            .unwrap_or(tail.len());
        let is_value = tail[..gap].contains(['=', ':']) || lower[found..after].ends_with(" by");
        clean.push_str(&line[at..after + gap]);
        at = after + gap;
        if is_value && at < line.len() {
            let value = &line[at..];
            let end = value
                .find(|letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | ',' | '}'))
                .unwrap_or(value.len());
            clean.push_str(MASK);
            at += end;
        }
    }
    clean.push_str(&line[at..]);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn passwords_in_addresses_are_masked() {
        assert_eq!(
            redact("mysql+pymysql://keystone:hunter2@192.0.2.10/keystone?charset=utf8"),
            "mysql+pymysql://keystone:***@192.0.2.10/keystone?charset=utf8"
        );
        assert_eq!(redact("see http://192.0.2.10:5000/v3 now"), "see http://192.0.2.10:5000/v3 now");
    }

    #[test]
    fn values_of_secret_options_are_masked() {
        assert_eq!(redact("password = hunter2"), "password = ***");
        assert_eq!(
            redact("{'admin_password': 'hunter2', 'user': 'a'}"),
            "{'admin_password': '***', 'user': 'a'}"
        );
        assert_eq!(redact("X-Auth-Token: gAAAAA"), "X-Auth-Token: ***");
        assert_eq!(redact("GRANT … IDENTIFIED BY 'x1'"), "GRANT … IDENTIFIED BY '***'");
    }

    #[test]
    fn ordinary_words_stay() {
        for text in ["Truncating password to algorithm specific maximum length", "a\nb\n", "", "secret"] {
            assert_eq!(redact(text), text);
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_no_line_is_lost(text in "\\PC*(\n\\PC*){0,3}") {
            prop_assert_eq!(redact(&text).lines().count(), text.lines().count());
        }

        #[test]
        fn a_password_never_survives(secret in "[a-zA-Z0-9]{9,20}") {
            let text = format!("password={secret} connection = a://u:{secret}@h/d");
            prop_assert!(!redact(&text).contains(&secret));
        }
    }
}

//! Reads and edits configuration files in oslo's dialect without losing anything: comments, order, blank lines,
//! repeated options and continuation lines stay as they are.
//!
//! It must never reformat a line that it was not asked to change, and never interpret a value.

use ostler_model::step::ConfigEdit;

/// The section that everybody inherits from.
const DEFAULT: &str = "DEFAULT";

/// A file as a sequence of pieces; put together they are the file, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ini {
    pieces: Vec<Piece>,
    /// How the file ends its lines.
    newline: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// A comment, a blank line, or something that is no INI at all.
    Other { raw: String },
    /// A section's heading.
    Section { raw: String, name: String },
    /// An option with its value, continuation lines included.
    Entry { raw: String, option: String, value: String },
}

impl Piece {
    fn raw(&self) -> &str {
        match self {
            Piece::Other { raw } | Piece::Section { raw, .. } | Piece::Entry { raw, .. } => raw,
        }
    }

    fn raw_mut(&mut self) -> &mut String {
        match self {
            Piece::Other { raw } | Piece::Section { raw, .. } | Piece::Entry { raw, .. } => raw,
        }
    }
}

impl Ini {
    /// Takes a file apart.
    pub fn read(text: &str) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        // Whether a line that begins with white space still belongs to the entry before.
        let mut is_open = false;
        for raw in text.split_inclusive('\n') {
            let line = raw.trim_end();
            if line.is_empty() {
                is_open = false;
                pieces.push(Piece::Other { raw: raw.to_owned() });
            } else if line.starts_with([' ', '\t']) && is_open {
                if let Some(Piece::Entry { raw: whole, value, .. }) = pieces.last_mut() {
                    whole.push_str(raw);
                    value.push('\n');
                    value.push_str(line.trim_start());
                }
            } else {
                let piece = piece(raw, line);
                is_open = matches!(piece, Piece::Entry { .. });
                pieces.push(piece);
            }
        }
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        Self { pieces, newline }
    }

    /// The file.
    pub fn text(&self) -> String {
        self.pieces.iter().map(Piece::raw).collect()
    }

    /// All values of an option, in order. Of an option that takes one value, the last counts.
    pub fn values(&self, section: &str, option: &str) -> Vec<&str> {
        self.places(section, option).into_iter().filter_map(|place| self.value_at(place)).collect()
    }

    /// Makes one change; true if it changed anything.
    pub fn apply(&mut self, edit: &ConfigEdit) -> bool {
        match edit {
            ConfigEdit::Rename { section, option, to_section, to_option } => {
                self.rename((section, option), (to_section, to_option))
            }
            ConfigEdit::Remove { section, option } => self.remove(section, option),
            ConfigEdit::Set { section, option, value } => self.set(section, option, value),
            ConfigEdit::Append { section, option, item } => self.append(section, option, item),
        }
    }

    fn value_at(&self, place: usize) -> Option<&str> {
        match self.pieces.get(place) {
            Some(Piece::Entry { value, .. }) => Some(value),
            _ => None,
        }
    }

    fn places(&self, section: &str, option: &str) -> Vec<usize> {
        let mut inside = false;
        let mut found = Vec::new();
        for (place, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Section { name, .. } => inside = is_same_section(name, section),
                Piece::Entry { option: name, .. } if inside && name == option => found.push(place),
                _ => {}
            }
        }
        found
    }

    /// Where a new entry of a section goes: behind its last entry, or behind its heading.
    fn end_of(&self, section: &str) -> Option<usize> {
        let mut inside = false;
        let mut end = None;
        for (place, piece) in self.pieces.iter().enumerate() {
            match piece {
                Piece::Section { name, .. } => {
                    inside = is_same_section(name, section);
                    if inside {
                        end = Some(place + 1);
                    }
                }
                Piece::Entry { .. } if inside => end = Some(place + 1),
                _ => {}
            }
        }
        end
    }

    fn insert(&mut self, section: &str, option: &str, value: &str) {
        let newline = self.newline;
        if let Some(last) = self.pieces.last_mut()
            && !last.raw().ends_with('\n')
        {
            last.raw_mut().push_str(newline);
        }
        let place = self.end_of(section).unwrap_or_else(|| {
            if !self.pieces.is_empty() {
                self.pieces.push(Piece::Other { raw: newline.to_owned() });
            }
            self.pieces
                .push(Piece::Section { raw: format!("[{section}]{newline}"), name: section.to_owned() });
            self.pieces.len()
        });
        // A stray line that begins with white space must not become the continuation of what is new.
        let strays = self.pieces[place..].iter().take_while(|piece| is_stray(piece)).count();
        self.pieces.insert(place + strays, entry(option, value, newline));
    }

    fn rename(&mut self, (section, option): (&str, &str), (to_section, to_option): (&str, &str)) -> bool {
        if (is_same_section(section, to_section) && option == to_option)
            || self.places(section, option).is_empty()
        {
            return false;
        }
        // The new name wins where both are set; so it stays, and the old one goes.
        if self.places(to_section, to_option).is_empty() {
            let values: Vec<String> = self.values(section, option).into_iter().map(str::to_owned).collect();
            for value in values {
                self.insert(to_section, to_option, &value);
            }
        }
        self.remove(section, option);
        true
    }

    fn remove(&mut self, section: &str, option: &str) -> bool {
        let places = self.places(section, option);
        for place in places.iter().rev() {
            self.pieces.remove(*place);
        }
        !places.is_empty()
    }

    fn set(&mut self, section: &str, option: &str, value: &str) -> bool {
        let places = self.places(section, option);
        let Some((first, others)) = places.split_first() else {
            self.insert(section, option, value);
            return true;
        };
        if others.is_empty() && self.value_at(*first) == Some(value) {
            return false;
        }
        for place in others.iter().rev() {
            self.pieces.remove(*place);
        }
        self.pieces[*first] = entry(option, value, self.newline);
        true
    }

    fn append(&mut self, section: &str, option: &str, item: &str) -> bool {
        // Of several values the last one counts. A list that is not set has its default, which is not ours to write.
        let Some(place) = self.places(section, option).pop() else { return false };
        let Some(value) = self.value_at(place) else { return false };
        let (bare, mark) = unquote(value);
        if bare.split(',').any(|there| there.trim() == item) {
            return false;
        }
        let trimmed = bare.trim_end().trim_end_matches(',');
        let longer = if trimmed.trim().is_empty() { item.to_owned() } else { format!("{trimmed},{item}") };
        let value = format!("{mark}{longer}{mark}");
        self.pieces[place] = entry(option, &value, self.newline);
        true
    }
}

fn is_stray(piece: &Piece) -> bool {
    matches!(piece, Piece::Other { raw } if raw.starts_with([' ', '\t']) && !raw.trim().is_empty())
}

fn piece(raw: &str, line: &str) -> Piece {
    let other = || Piece::Other { raw: raw.to_owned() };
    if line.starts_with(['#', ';', ' ', '\t']) {
        return other();
    }
    if let Some(name) = line.strip_prefix('[') {
        return match name.strip_suffix(']') {
            Some(name) if !name.is_empty() => Piece::Section { raw: raw.to_owned(), name: name.to_owned() },
            _ => other(),
        };
    }
    match line.split_once(['=', ':']) {
        Some((option, value)) => Piece::Entry {
            raw: raw.to_owned(),
            option: option.trim().to_owned(),
            value: value.trim().to_owned(),
        },
        None => other(),
    }
}

fn entry(option: &str, value: &str, newline: &str) -> Piece {
    let lines: Vec<&str> = value.split('\n').collect();
    let raw = format!("{option} = {}{newline}", lines.join(&format!("{newline}    ")));
    Piece::Entry { raw, option: option.to_owned(), value: value.to_owned() }
}

/// `[DEFAULT]` is itself; other sections are the same in any case.
fn is_same_section(a: &str, b: &str) -> bool {
    if a == DEFAULT || b == DEFAULT { a == b } else { a.eq_ignore_ascii_case(b) }
}

/// A value without the quotes around it, and these quotes.
fn unquote(value: &str) -> (&str, &str) {
    for mark in ["\"", "'"] {
        if value.len() > 1
            && let Some(inner) = value.strip_prefix(mark).and_then(|value| value.strip_suffix(mark))
        {
            return (inner, mark);
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILE: &str = "\
# Keystone
[DEFAULT]
debug = false
# log_dir = /var/log
[auth]
methods = password,token ; no comment
[database]
connection = mysql://k:p@h/keystone

[cache]
backend: a
memcache_servers = one:11211,
    two:11211

    # not a continuation any more
backend = b
";

    fn set(section: &str, option: &str, value: &str) -> ConfigEdit {
        ConfigEdit::Set { section: section.into(), option: option.into(), value: value.into() }
    }

    fn append(section: &str, option: &str, item: &str) -> ConfigEdit {
        ConfigEdit::Append { section: section.into(), option: option.into(), item: item.into() }
    }

    fn edited(text: &str, edit: &ConfigEdit) -> (String, bool) {
        let mut ini = Ini::read(text);
        let changed = ini.apply(edit);
        (ini.text(), changed)
    }

    #[test]
    fn values_are_found_with_repeats_and_continuations() {
        let ini = Ini::read(FILE);
        assert_eq!(ini.values("DEFAULT", "debug"), ["false"]);
        assert_eq!(ini.values("CACHE", "backend"), ["a", "b"]);
        assert_eq!(ini.values("cache", "memcache_servers"), ["one:11211,\ntwo:11211"]);
        assert_eq!(ini.values("default", "debug"), [""; 0]);
        assert_eq!(ini.values("DEFAULT", "log_dir"), [""; 0]);
    }

    #[test]
    fn a_value_is_set_where_it_stands_and_repeats_go() {
        let (text, changed) = edited(FILE, &set("cache", "backend", "c"));
        assert!(changed && text.contains("[cache]\nbackend = c\nmemcache") && !text.contains("backend = b"));
        assert_eq!(edited(FILE, &set("DEFAULT", "debug", "false")), (FILE.to_owned(), false));
    }

    #[test]
    fn a_new_value_goes_behind_the_last_of_its_section() {
        assert_eq!(
            edited("[a]\nx = 1\n# end\n[b]\n", &set("a", "y", "2")).0,
            "[a]\nx = 1\ny = 2\n# end\n[b]\n"
        );
        assert_eq!(edited("[a]\nx = 1", &set("b", "y", "2")).0, "[a]\nx = 1\n\n[b]\ny = 2\n");
        assert_eq!(edited("", &set("b", "y", "2")).0, "[b]\ny = 2\n");
    }

    #[test]
    fn a_list_grows_only_if_it_is_set_and_lacks_the_item() {
        let file = "[auth]\nmethods = password,token\n";
        assert_eq!(
            edited(file, &append("auth", "methods", "ec2credential")).0,
            "[auth]\nmethods = password,token,ec2credential\n"
        );
        assert!(!edited(file, &append("auth", "methods", "token")).1);
        assert!(!edited("[auth]\n#methods = a\n", &append("auth", "methods", "b")).1);
        assert_eq!(edited("[a]\nm = 'x,y'\n", &append("a", "m", "z")).0, "[a]\nm = 'x,y,z'\n");
    }

    #[test]
    fn a_renamed_option_takes_all_its_values_along_unless_the_new_name_is_set() {
        let rename = ConfigEdit::Rename {
            section: "a".into(),
            option: "x".into(),
            to_section: "b".into(),
            to_option: "y".into(),
        };
        assert_eq!(edited("[a]\nx = 1\nx = 2\n[b]\n", &rename).0, "[a]\n[b]\ny = 1\ny = 2\n");
        assert_eq!(edited("[a]\nx = 1\n[b]\ny = 7\n", &rename).0, "[a]\n[b]\ny = 7\n");
        assert!(!edited("[a]\n[b]\n", &rename).1);
    }

    #[test]
    fn line_ends_stay_as_they_are() {
        assert_eq!(edited("[a]\r\nx = 1\r\n", &set("a", "y", "2")).0, "[a]\r\nx = 1\r\ny = 2\r\n");
    }

    fn edits() -> impl Strategy<Value = ConfigEdit> {
        let word = "[a-c]{1,2}";
        prop_oneof![
            (word, word, "[a-z,]{0,8}").prop_map(|(section, option, value)| ConfigEdit::Set {
                section,
                option,
                value
            }),
            (word, word).prop_map(|(section, option)| ConfigEdit::Remove { section, option }),
            (word, word, word).prop_map(|(section, option, item)| ConfigEdit::Append {
                section,
                option,
                item
            }),
            (word, word, word, word).prop_map(|(section, option, to_section, to_option)| {
                ConfigEdit::Rename { section, option, to_section, to_option }
            }),
        ]
    }

    proptest! {
        #[test]
        fn reading_loses_nothing(text in "([\\[\\]a-c=: #;'\t\r]{0,12}\n){0,12}[a-c= ]{0,5}") {
            prop_assert_eq!(Ini::read(&text).text(), text);
        }

        #[test]
        fn any_text_survives(text in any::<String>()) {
            prop_assert_eq!(Ini::read(&text).text(), text);
        }

        #[test]
        fn an_edit_made_twice_is_made_once(
            text in "(\\[[a-c]\\]\n|[a-c] = [a-c,]{0,4}\n|  [a-c]\n|# [a-c]\n|\n){0,15}",
            edit in edits(),
        ) {
            let (once, _) = edited(&text, &edit);
            let (twice, changed) = edited(&once, &edit);
            prop_assert!(!changed, "{once:?}");
            prop_assert_eq!(&once, &twice);
        }

        #[test]
        fn what_is_set_is_read_back(text in "(\\[[a-c]\\]\n|[a-c] = [a-c]{0,4}\n|  [a-c]\n|\n){0,15}", value in "[a-z,/]{0,9}") {
            let (text, _) = edited(&text, &set("b", "c", &value));
            let ini = Ini::read(&text);
            prop_assert_eq!(ini.values("b", "c"), vec![value.as_str()]);
        }
    }
}

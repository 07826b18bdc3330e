//! The language in which checks ask: comparisons and a few functions over the columns of a row, a group of rows, and
//! other tables.
//!
//! A text that cannot be read is refused with the place. Reading must never need what the evidence holds.

use std::fmt;

/// How deep brackets may be nested: a person's check has three or four.
const DEPTH_MAX: usize = 32;

/// Characters of an expression.
const CHARACTERS_MAX: usize = 2_000;

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The expression.
    pub text: String,
    /// Where in it, in characters.
    pub at: usize,
    /// What.
    pub what: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n    {}\n    {:>width$}", self.what, self.text, "^", width = self.at + 1)
    }
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Expr>),
    /// A column of the row at hand.
    Column(String),
    /// A column of the row outside, within a look at another table.
    Outer(String),
    Not(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Compare(Compare, Box<Expr>, Box<Expr>),
    Reckon(char, Box<Expr>, Box<Expr>),
    Call(Function, Vec<Expr>),
    Look(Look),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
    In,
}

/// A look at another table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Look {
    pub kind: LookKind,
    pub table: String,
    /// A column of that table, and what it must equal.
    pub key: Option<(String, Box<Expr>)>,
    /// What else its rows must be; or, for `first`, what is wanted of the row.
    pub inner: Option<Box<Expr>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LookKind {
    /// Whether there is such a row.
    Any,
    /// How many there are.
    Count,
    /// Something of the first such row.
    First,
    /// The sum of something over such rows.
    Total,
    /// Whether the table was looked at.
    Seen,
}

macro_rules! functions {
    ($($variant:ident $name:literal $least:literal $most:literal),* $(,)?) => {
        /// A function, by its name; with how many arguments it takes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Function { $($variant),* }

        const FUNCTIONS: &[(&str, Function, usize, usize)] = &[$(($name, Function::$variant, $least, $most)),*];
    };
}

functions! {
    Age "age" 1 1, Until "until" 1 1, Has "has" 1 1, Default "default" 2 2, Lower "lower" 1 1,
    Starts "starts" 2 2, Ends "ends" 2 2, Contains "contains" 2 2, Length "length" 1 1, Abs "abs" 1 1,
    Share "share" 2 2, Part "part" 3 3,
    Rows "rows" 0 1, Sum "sum" 1 1, Most "most" 1 1, Least "least" 1 1, Kinds "kinds" 1 1, Each "each" 1 2,
    Whole "whole" 0 0,
}

const LOOKS: &[(&str, LookKind)] = &[
    ("any", LookKind::Any),
    ("count", LookKind::Count),
    ("first", LookKind::First),
    ("total", LookKind::Total),
    ("seen", LookKind::Seen),
];

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(f64),
    Text(String),
    Word(String),
    Sign(&'static str),
    End,
}

const SIGNS: [&str; 17] =
    ["!=", "<=", ">=", "(", ")", "[", "]", ",", "=", "<", ">", "+", "-", "*", "/", "^", "."];

/// Reads an expression.
pub(super) fn read(text: &str) -> Result<Expr, SyntaxError> {
    let mut reader = Reader { text, tokens: tokens(text)?, at: 0, depth: 0 };
    let expr = reader.or()?;
    match reader.next() {
        Token::End => Ok(expr),
        _ => {
            reader.at -= 1;
            Err(reader.wrong("the expression should have ended here"))
        }
    }
}

fn error(text: &str, at: usize, what: &str) -> SyntaxError {
    SyntaxError { text: text.to_owned(), at, what: what.to_owned() }
}

fn tokens(text: &str) -> Result<Vec<(Token, usize)>, SyntaxError> {
    let letters: Vec<char> = text.chars().collect();
    if letters.len() > CHARACTERS_MAX {
        return Err(error("", 0, &format!("an expression has at most {CHARACTERS_MAX} characters")));
    }
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < letters.len() {
        let begun = at;
        let letter = letters[at];
        if letter.is_whitespace() {
            at += 1;
        } else if letter.is_ascii_digit() {
            while at < letters.len() && (letters[at].is_ascii_digit() || letters[at] == '.') {
                at += 1;
            }
            let digits: String = letters[begun..at].iter().collect();
            let number: f64 = digits.parse().map_err(|_| error(text, begun, "this is no number"))?;
            let unit = at;
            while at < letters.len() && letters[at].is_ascii_alphabetic() {
                at += 1;
            }
            let unit_text: String = letters[unit..at].iter().collect();
            let factor = match unit_text.as_str() {
                "" | "s" => 1.0,
                "m" => 60.0,
                "h" => 3_600.0,
                "d" => 86_400.0,
                "KiB" => 1_024.0,
                "MiB" => 1_048_576.0,
                "GiB" => 1_073_741_824.0,
                _ => return Err(error(text, unit, "a unit is s, m, h, d, KiB, MiB or GiB")),
            };
            tokens.push((Token::Number(number * factor), begun));
        } else if letter == '\'' {
            let end = letters[at + 1..].iter().position(|letter| *letter == '\'');
            let end = end.ok_or_else(|| error(text, begun, "this text has no end"))? + at + 1;
            tokens.push((Token::Text(letters[at + 1..end].iter().collect()), begun));
            at = end + 1;
        } else if letter.is_alphabetic() || letter == '_' {
            while at < letters.len() && (letters[at].is_alphanumeric() || matches!(letters[at], '_' | '-')) {
                at += 1;
            }
            tokens.push((Token::Word(letters[begun..at].iter().collect()), begun));
        } else {
            let rest: String = letters[at..letters.len().min(at + 2)].iter().collect();
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            let sign = sign.ok_or_else(|| error(text, at, "this sign means nothing here"))?;
            tokens.push((Token::Sign(sign), begun));
            at += sign.len();
        }
    }
    tokens.push((Token::End, letters.len()));
    Ok(tokens)
}

struct Reader<'a> {
    text: &'a str,
    tokens: Vec<(Token, usize)>,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Token {
        self.tokens.get(self.at).map_or(Token::End, |(token, _)| token.clone())
    }

    fn next(&mut self) -> Token {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn wrong(&self, what: &str) -> SyntaxError {
        let last = self.tokens.len().saturating_sub(1);
        let at = self.tokens.get(self.at.min(last)).map_or(0, |(_, at)| *at);
        error(self.text, at, what)
    }

    fn is_sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(seen) if seen == sign);
        self.at += usize::from(found);
        found
    }

    fn is_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(seen) if seen == word);
        self.at += usize::from(found);
        found
    }

    fn need(&mut self, sign: &str) -> Result<(), SyntaxError> {
        if self.is_sign(sign) { Ok(()) } else { Err(self.wrong(&format!("`{sign}` is missing here"))) }
    }

    fn or(&mut self) -> Result<Expr, SyntaxError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.wrong("this is nested too deeply"));
        }
        let mut left = self.and()?;
        while self.is_word("or") {
            left = Expr::Or(Box::new(left), Box::new(self.and()?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr, SyntaxError> {
        let mut left = self.not()?;
        while self.is_word("and") {
            left = Expr::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expr, SyntaxError> {
        let mut count = 0;
        while self.is_word("not") {
            count += 1;
        }
        let compared = self.compare()?;
        Ok(if count % 2 == 1 { Expr::Not(Box::new(compared)) } else { compared })
    }

    fn compare(&mut self) -> Result<Expr, SyntaxError> {
        let left = self.sum()?;
        let how = match self.peek() {
            Token::Sign("=") => Compare::Equal,
            Token::Sign("!=") => Compare::Unequal,
            Token::Sign("<") => Compare::Less,
            Token::Sign("<=") => Compare::LessOrEqual,
            Token::Sign(">") => Compare::More,
            Token::Sign(">=") => Compare::MoreOrEqual,
            Token::Word(word) if word == "in" => Compare::In,
            _ => return Ok(left),
        };
        self.at += 1;
        Ok(Expr::Compare(how, Box::new(left), Box::new(self.sum()?)))
    }

    fn sum(&mut self) -> Result<Expr, SyntaxError> {
        let mut left = self.product()?;
        loop {
            let sign = if self.is_sign("+") {
                '+'
            } else if self.is_sign("-") {
                '-'
            } else {
                return Ok(left);
            };
            left = Expr::Reckon(sign, Box::new(left), Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Result<Expr, SyntaxError> {
        let mut left = self.factor()?;
        loop {
            let sign = if self.is_sign("*") {
                '*'
            } else if self.is_sign("/") {
                '/'
            } else {
                return Ok(left);
            };
            left = Expr::Reckon(sign, Box::new(left), Box::new(self.factor()?));
        }
    }

    fn factor(&mut self) -> Result<Expr, SyntaxError> {
        match self.next() {
            Token::Number(number) => Ok(Expr::Number(number)),
            Token::Text(text) => Ok(Expr::Text(text)),
            Token::Sign("(") => {
                let inner = self.or()?;
                self.need(")")?;
                Ok(inner)
            }
            Token::Sign("[") => Ok(Expr::List(self.arguments("]")?)),
            Token::Sign("^") => match self.next() {
                Token::Word(word) => Ok(Expr::Outer(word)),
                _ => {
                    self.at -= 1;
                    Err(self.wrong("after `^` comes the name of a column"))
                }
            },
            Token::Word(word) => match word.as_str() {
                "true" => Ok(Expr::Bool(true)),
                "false" => Ok(Expr::Bool(false)),
                "null" => Ok(Expr::Null),
                "and" | "or" | "not" | "in" => {
                    self.at -= 1;
                    Err(self.wrong("a value is missing here"))
                }
                _ if self.is_sign("(") => self.call(&word),
                _ => Ok(Expr::Column(word)),
            },
            Token::Sign(_) | Token::End => {
                self.at -= 1;
                Err(self.wrong("a value is missing here"))
            }
        }
    }

    fn arguments(&mut self, end: &str) -> Result<Vec<Expr>, SyntaxError> {
        let mut items = Vec::new();
        if self.is_sign(end) {
            return Ok(items);
        }
        loop {
            items.push(self.or()?);
            if self.is_sign(end) {
                return Ok(items);
            }
            self.need(",")?;
        }
    }

    fn call(&mut self, name: &str) -> Result<Expr, SyntaxError> {
        let begun = self.at.saturating_sub(2);
        if let Some((_, kind)) = LOOKS.iter().find(|(known, _)| *known == name) {
            return self.look(*kind);
        }
        let Some((_, function, least, most)) = FUNCTIONS.iter().find(|(known, ..)| *known == name) else {
            self.at = begun;
            let mut names: Vec<&str> = FUNCTIONS.iter().map(|(known, ..)| *known).collect();
            names.extend(LOOKS.iter().map(|(known, _)| *known));
            names.sort_unstable();
            return Err(self.wrong(&format!("there is no function `{name}`; there are {}", names.join(", "))));
        };
        let arguments = self.arguments(")")?;
        if !(*least..=*most).contains(&arguments.len()) {
            self.at = begun;
            return Err(self.wrong(&format!("`{name}` takes {least} to {most} arguments")));
        }
        Ok(Expr::Call(*function, arguments))
    }

    /// `any(TABLE)`, `any(TABLE, INNER)`, `any(TABLE.COLUMN = VALUE)`, `any(TABLE.COLUMN = VALUE, INNER)`; a table's name
    /// may have dots of its own.
    fn look(&mut self, kind: LookKind) -> Result<Expr, SyntaxError> {
        let mut names = Vec::new();
        loop {
            match self.next() {
                Token::Word(word) => names.push(word),
                _ => {
                    self.at -= 1;
                    return Err(self.wrong("the name of a table is missing here"));
                }
            }
            if !self.is_sign(".") {
                break;
            }
        }
        let mut key = None;
        if self.is_sign("=") {
            if names.len() < 2 {
                return Err(self.wrong("before `=` stands TABLE.COLUMN"));
            }
            let column = names.pop().unwrap_or_default();
            key = Some((column, Box::new(self.sum()?)));
        }
        let inner = if self.is_sign(",") { Some(Box::new(self.or()?)) } else { None };
        if matches!(kind, LookKind::First | LookKind::Total) && inner.is_none() {
            return Err(self.wrong("after a comma comes what is wanted of the row"));
        }
        self.need(")")?;
        Ok(Expr::Look(Look { kind, table: names.join("."), key, inner }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_place_of_a_mistake_is_pointed_at() {
        let said = |text: &str| read(text).unwrap_err().to_string();
        assert_eq!(said("a > "), "a value is missing here\n    a > \n        ^");
        assert_eq!(said("a = 'x"), "this text has no end\n    a = 'x\n        ^");
        assert_eq!(said("a b"), "the expression should have ended here\n    a b\n      ^");
        assert!(said("agee(x)").starts_with("there is no function `agee`; there are abs, age, any,"));
        assert!(said("age(x, y)").starts_with("`age` takes 1 to 1 arguments"));
        assert!(said("10 min > 3").starts_with("the expression should have ended here"));
        assert!(said("10min > 3").starts_with("a unit is"));
    }

    #[test]
    fn tables_may_have_dots_and_keys() {
        let Expr::Look(look) = read("any(rabbit.node.host = host, not up and ^name = name)").unwrap() else {
            panic!("no look")
        };
        assert_eq!((look.table.as_str(), look.key.unwrap().0.as_str()), ("rabbit.node", "host"));
        assert!(look.inner.is_some());
    }

    #[test]
    fn units_are_seconds_and_bytes() {
        assert_eq!(read("2h").unwrap(), Expr::Number(7_200.0));
        assert_eq!(read("1.5KiB").unwrap(), Expr::Number(1_536.0));
    }

    #[test]
    fn what_is_nested_too_deeply_is_refused() {
        let deep = format!("{}1{}", "(".repeat(500), ")".repeat(500));
        assert!(read(&deep).unwrap_err().what.contains("too deeply"));
        assert!(read(&format!("{}1", "not ".repeat(400))).is_ok());
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[a-z0-9 ()\\[\\]'.,=<>!^+*/-]{0,60}|\\PC{0,40}") {
            let _ = read(&text).map_err(|error| error.to_string());
        }
    }
}

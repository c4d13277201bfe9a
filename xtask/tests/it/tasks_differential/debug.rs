//! Reads Rust's `{:#?}` of cargo-make's types as plain values: an enum's variant is what it holds,
//! `None` in a struct is nothing.

use serde_json::{Map, Value as Json};

/// The value after the last `mark` in a text.
pub(super) fn after(text: &str, mark: &str) -> Result<Json, String> {
    let at = text.rfind(mark).ok_or_else(|| format!("no `{mark}`"))?;
    parse(&text[at + mark.len()..])
}

/// The value that a text begins with.
pub(super) fn parse(text: &str) -> Result<Json, String> {
    let mut parser = Parser { text, at: 0 };
    parser.value().ok_or_else(|| {
        let rest: String = text[parser.at..].chars().take(80).collect();
        format!("no debug words at byte {}: {rest}", parser.at)
    })
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn eat(&mut self, mark: char) -> bool {
        self.space();
        let found = self.rest().starts_with(mark);
        if found {
            self.at += mark.len_utf8();
        }
        found
    }

    fn word(&mut self) -> String {
        self.space();
        let rest = self.rest();
        let end = rest
            .find(|it: char| !it.is_alphanumeric() && it != '_' && it != '-')
            .unwrap_or(rest.len());
        let word = rest[..end].to_owned();
        self.at += end;
        word
    }

    fn value(&mut self) -> Option<Json> {
        self.space();
        if self.rest().starts_with('"') {
            return self.string().map(Json::from);
        }
        if self.eat('[') {
            return self.list(']').map(Json::from);
        }
        if self.eat('{') {
            return self.map_or_set();
        }
        let word = self.word();
        if word.is_empty() {
            return None;
        }
        if let Ok(number) = word.parse::<i64>() {
            return Some(number.into());
        }
        match word.as_str() {
            "true" => return Some(true.into()),
            "false" => return Some(false.into()),
            "None" => return Some(Json::Null),
            _ => {}
        }
        // A unit variant has neither; its own brace would be on the same line.
        if self.rest().starts_with('(') {
            self.at += 1;
            let mut all = self.list(')')?;
            return (all.len() == 1).then(|| all.remove(0));
        }
        if self.rest().starts_with(" {") {
            self.at += 2;
            return self.fields(&word);
        }
        Some(word.into())
    }

    fn list(&mut self, end: char) -> Option<Vec<Json>> {
        let mut all = Vec::new();
        loop {
            if self.eat(end) {
                return Some(all);
            }
            all.push(self.value()?);
            self.eat(',');
        }
    }

    fn fields(&mut self, name: &str) -> Option<Json> {
        let mut map = Map::new();
        while !self.eat('}') {
            let key = self.word();
            if !self.eat(':') {
                return None;
            }
            let value = self.value()?;
            if !value.is_null() {
                map.insert(key, value);
            }
            self.eat(',');
        }
        if name == "TestArg" {
            return map.remove("inner");
        }
        Some(Json::Object(map))
    }

    fn map_or_set(&mut self) -> Option<Json> {
        let mut map = Map::new();
        let mut set = Vec::new();
        while !self.eat('}') {
            let key = self.value()?;
            if self.eat(':') {
                let value = self.value()?;
                map.insert(key.as_str()?.to_owned(), value);
            } else {
                set.push(key);
            }
            self.eat(',');
        }
        if set.is_empty() {
            Some(Json::Object(map))
        } else {
            Some(set.into())
        }
    }

    fn string(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((at, char)) = chars.next() {
            match char {
                '"' => {
                    self.at += at + 1;
                    return Some(text);
                }
                '\\' => match chars.next()?.1 {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    '0' => text.push('\0'),
                    'u' => {
                        let code: String = chars
                            .by_ref()
                            .map(|(_, it)| it)
                            .skip(1)
                            .take_while(|it| *it != '}')
                            .collect();
                        text.push(char::from_u32(u32::from_str_radix(&code, 16).ok()?)?);
                    }
                    other => text.push(other),
                },
                other => text.push(other),
            }
        }
        None
    }
}

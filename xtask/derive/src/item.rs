//! The item below a derive, read from its tokens.

use proc_macro::{Delimiter, TokenStream, TokenTree};

/// A struct or an enum.
pub(crate) struct Item {
    pub(crate) name: String,
    /// `<'a, T: Serialize>`, as it is written.
    pub(crate) generics: String,
    /// `<'a, T>`.
    pub(crate) arguments: String,
    pub(crate) attributes: Attributes,
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    Struct(Fields),
    Enum(Vec<Variant>),
}

pub(crate) enum Fields {
    Unit,
    /// The types.
    Tuple(Vec<String>),
    Named(Vec<Field>),
}

pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) ty: String,
    pub(crate) attributes: Attributes,
}

pub(crate) struct Variant {
    pub(crate) name: String,
    pub(crate) fields: Fields,
    pub(crate) attributes: Attributes,
}

/// `word` or `word = value`.
#[derive(Clone)]
pub(crate) struct Meta {
    pub(crate) word: String,
    pub(crate) value: Option<String>,
}

/// What stands before an item, in its order.
#[derive(Default)]
pub(crate) struct Attributes {
    /// The lines of its documentation.
    pub(crate) docs: Vec<String>,
    /// The name of each attribute, and what stands in it.
    all: Vec<(String, Vec<Meta>)>,
}

impl Attributes {
    /// What stands in the attributes of these names.
    pub(crate) fn of(&self, names: &[&str]) -> Vec<Meta> {
        let wanted = self
            .all
            .iter()
            .filter(|(name, _)| names.contains(&name.as_str()));
        wanted.flat_map(|(_, metas)| metas.clone()).collect()
    }

    fn take(tokens: &mut Tokens) -> Result<Attributes, String> {
        let mut found = Attributes::default();
        while tokens.is_punct('#') {
            tokens.next();
            let Some(TokenTree::Group(group)) = tokens.next() else {
                return Err("an attribute without brackets".to_owned());
            };
            let mut inner = Tokens::new(group.stream());
            let name = inner.ident()?;
            if name == "doc" {
                inner.next();
                if let Some(TokenTree::Literal(text)) = inner.next() {
                    found.docs.push(unquote(&text.to_string())?);
                }
            } else if let Some(TokenTree::Group(group)) = inner.next() {
                found.all.push((name, metas(group.stream())?));
            }
        }
        Ok(found)
    }
}

/// A list of [`Meta`]; `word(…)` has what stands in its parentheses as its value.
fn metas(stream: TokenStream) -> Result<Vec<Meta>, String> {
    let mut tokens = Tokens::new(stream);
    let mut found = Vec::new();
    while !tokens.end() {
        let mut word = tokens.ident()?;
        let value = if tokens.is_punct('=') {
            tokens.next();
            Some(tokens.until_comma())
        } else if tokens.is_punct(',') || tokens.end() {
            None
        } else {
            word.push_str(&tokens.until_comma());
            None
        };
        found.push(Meta { word, value });
        if tokens.is_punct(',') {
            tokens.next();
        }
    }
    Ok(found)
}

/// The text of a string literal, as far as attributes and documentation have them.
pub(crate) fn unquote(literal: &str) -> Result<String, String> {
    if let Some(raw) = literal.strip_prefix('r') {
        let raw = raw.trim_matches('#');
        return Ok(raw.trim_matches('"').to_owned());
    }
    let text = literal
        .strip_prefix('"')
        .and_then(|it| it.strip_suffix('"'))
        .ok_or_else(|| format!("{literal} is no string"))?;
    let mut found = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        found.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some(c @ ('"' | '\\' | '\'')) => c,
                other => {
                    return Err(format!(
                        "xtask-derive does not read `\\{other:?}` in {literal}"
                    ));
                }
            },
            c => c,
        });
    }
    Ok(found)
}

struct Tokens {
    all: Vec<TokenTree>,
    at: usize,
}

impl Tokens {
    fn new(stream: TokenStream) -> Tokens {
        Tokens {
            all: stream.into_iter().collect(),
            at: 0,
        }
    }

    fn peek(&self) -> Option<&TokenTree> {
        self.all.get(self.at)
    }

    fn next(&mut self) -> Option<TokenTree> {
        self.at += 1;
        self.all.get(self.at - 1).cloned()
    }

    fn end(&self) -> bool {
        self.peek().is_none()
    }

    fn is_punct(&self, c: char) -> bool {
        matches!(self.peek(), Some(TokenTree::Punct(it)) if it.as_char() == c)
    }

    fn is_ident(&self, word: &str) -> bool {
        matches!(self.peek(), Some(TokenTree::Ident(it)) if it.to_string() == word)
    }

    fn ident(&mut self) -> Result<String, String> {
        match self.next() {
            Some(TokenTree::Ident(it)) => Ok(it.to_string()),
            other => Err(format!("a name is expected, not {other:?}")),
        }
    }

    /// Up to a comma that is in no `<…>`. The `>` of `->` closes none.
    fn until_comma(&mut self) -> String {
        let mut depth = 0_i32;
        let mut arrow = false;
        let mut found = TokenStream::new();
        while let Some(token) = self.peek() {
            if let TokenTree::Punct(punct) = token {
                match punct.as_char() {
                    ',' if depth == 0 => break,
                    '<' => depth += 1,
                    '>' if !arrow => depth -= 1,
                    _ => {}
                }
                arrow = punct.as_char() == '-';
            } else {
                arrow = false;
            }
            found.extend(self.next());
        }
        found.to_string()
    }

    fn skip_visibility(&mut self) {
        if self.is_ident("pub") {
            self.next();
            if matches!(self.peek(), Some(TokenTree::Group(it)) if it.delimiter() == Delimiter::Parenthesis)
            {
                self.next();
            }
        }
    }
}

impl Item {
    pub(crate) fn parse(input: TokenStream) -> Result<Item, String> {
        let mut tokens = Tokens::new(input);
        let attributes = Attributes::take(&mut tokens)?;
        tokens.skip_visibility();
        let what = tokens.ident()?;
        let name = tokens.ident()?;
        let (generics, arguments) = generics(&mut tokens)?;
        let kind = match (what.as_str(), tokens.next()) {
            ("enum", Some(TokenTree::Group(body))) => Kind::Enum(variants(body.stream())?),
            ("struct", Some(TokenTree::Group(body))) => Kind::Struct(fields(&body)?),
            ("struct", Some(TokenTree::Punct(_))) => Kind::Struct(Fields::Unit),
            (what, _) => return Err(format!("xtask-derive does not read this {what}")),
        };
        Ok(Item {
            name,
            generics,
            arguments,
            attributes,
            kind,
        })
    }
}

/// As it is written, and the names alone.
fn generics(tokens: &mut Tokens) -> Result<(String, String), String> {
    if !tokens.is_punct('<') {
        return Ok(Default::default());
    }
    let mut depth = 0;
    let mut all = TokenStream::new();
    loop {
        let Some(token) = tokens.next() else {
            return Err("generics that do not end".to_owned());
        };
        match &token {
            TokenTree::Punct(it) if it.as_char() == '<' => depth += 1,
            TokenTree::Punct(it) if it.as_char() == '>' => depth -= 1,
            _ => {}
        }
        all.extend([token]);
        if depth == 0 {
            break;
        }
    }
    let mut inner = Tokens::new(all.clone());
    inner.next();
    inner.all.pop();
    let mut names = Vec::new();
    while !inner.end() {
        let parameter = inner.until_comma();
        inner.next();
        let name = parameter.split(':').next().unwrap_or_default();
        names.push(name.trim().to_owned());
    }
    Ok((all.to_string(), format!("<{}>", names.join(", "))))
}

fn fields(body: &proc_macro::Group) -> Result<Fields, String> {
    let mut tokens = Tokens::new(body.stream());
    let named = body.delimiter() == Delimiter::Brace;
    let (mut fields, mut types) = (Vec::new(), Vec::new());
    while !tokens.end() {
        let attributes = Attributes::take(&mut tokens)?;
        tokens.skip_visibility();
        if named {
            let name = tokens.ident()?;
            tokens.next();
            let ty = tokens.until_comma();
            fields.push(Field {
                name,
                ty,
                attributes,
            });
        } else {
            types.push(tokens.until_comma());
        }
        tokens.next();
    }
    Ok(if named {
        Fields::Named(fields)
    } else {
        Fields::Tuple(types)
    })
}

fn variants(body: TokenStream) -> Result<Vec<Variant>, String> {
    let mut tokens = Tokens::new(body);
    let mut found = Vec::new();
    while !tokens.end() {
        let attributes = Attributes::take(&mut tokens)?;
        let name = tokens.ident()?;
        let inner = match tokens.peek() {
            Some(TokenTree::Group(group)) => fields(&group.clone())?,
            _ => Fields::Unit,
        };
        // The fields, or a discriminant.
        tokens.until_comma();
        tokens.next();
        found.push(Variant {
            name,
            fields: inner,
            attributes,
        });
    }
    Ok(found)
}

/// What stands in `Outer<…>`, if the type is one.
pub(crate) fn inside<'a>(ty: &'a str, outer: &str) -> Option<&'a str> {
    let (path, rest) = ty.split_once('<')?;
    let last = path.rsplit(':').next()?.trim();
    (last == outer).then(|| rest.trim_end().strip_suffix('>').map(str::trim))?
}

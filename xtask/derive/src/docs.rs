//! Documentation as help: clap's own rules.

/// The short and the long form. `verbatim` keeps lines as they are.
pub(crate) fn help(docs: &[String], verbatim: bool) -> Option<(String, Option<String>)> {
    let blank = |line: &str| line.trim().is_empty();
    let mut lines: Vec<&str> = docs.iter().flat_map(|it| it.split('\n')).collect();
    let first = lines.iter().position(|line| !blank(line))?;
    lines.drain(..first);
    while lines.last().is_some_and(|line| blank(line)) {
        lines.pop();
    }
    let lines: Vec<&str> = lines
        .iter()
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect();
    let gap = lines.iter().position(|line| blank(line));
    if verbatim {
        let short = lines.get(..gap.unwrap_or(lines.len()))?.join("\n");
        return Some((short, gap.map(|_| lines.join("\n"))));
    }
    let paragraphs: Vec<String> = lines
        .split(|line| blank(line))
        .filter(|it| !it.is_empty())
        .map(|it| {
            it.iter()
                .map(|line| line.trim())
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    let short = paragraphs.first()?;
    let short = match short.strip_suffix('.') {
        Some(rest) if !rest.ends_with('.') => rest,
        _ => short,
    };
    Some((short.to_owned(), gap.map(|_| paragraphs.join("\n\n"))))
}

//! A command written as one text: words between white space, with quotes around words that hold some.

/// Cuts a command into its words.
///
/// Single quotes keep everything; double quotes keep everything but `\"` and `\\`. Outside of quotes a backslash
/// is a letter, as paths have it on some systems. There are no variables, globs or pipes: a shell has those.
/// The error is what is wrong, and after a line break what to do.
pub(super) fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next() {
                        None => return Err(format!("the quote {letter} is not closed\n{FORM}")),
                        Some(inner) if inner == letter => break,
                        Some('\\') if letter == '"' => {
                            let escaped = letters.next_if(|next| matches!(next, '"' | '\\'));
                            word.push(escaped.unwrap_or('\\'));
                        }
                        Some(inner) => word.push(inner),
                    }
                }
            }
            _ if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Ok(words)
}

const FORM: &str = "close it, or write a list of words: [\"analyse\", \"{file}\"]";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lie_between_white_space_and_quotes_hold_it() {
        let cases: &[(&str, &[&str])] = &[
            ("analyse  {file}\n", &["analyse", "{file}"]),
            (
                "sh -c 'cat \"$1\" | wc -c' - {file}",
                &["sh", "-c", "cat \"$1\" | wc -c", "-", "{file}"],
            ),
            (
                r#"run "two \"words\" \\ \n" --name='a b'c"#,
                &["run", r#"two "words" \ \n"#, "--name=a bc"],
            ),
            (r"C:\tools\analyse.exe '' x", &[r"C:\tools\analyse.exe", "", "x"]),
            ("  ", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(words(text).unwrap(), *expected, "{text}");
        }
    }

    #[test]
    fn an_open_quote_is_told() {
        for text in ["sh -c 'x", "say \"hello", r#"say "\"#] {
            assert!(words(text).unwrap_err().contains("is not closed"), "{text}");
        }
    }
}

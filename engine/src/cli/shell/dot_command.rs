//! The shell's own commands, which begin with a dot.

use crate::cli::output::{Format, RowLimit};
use crate::cli::shell::completion::{Completions, Names, matching};
use crate::cli::shell::printer::Timer;
use clap::ValueEnum;
use std::path::PathBuf;

/// What the person at the shell wants from the shell itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DotCommand {
    /// `.tables`
    Tables,
    /// `.schema [TABLE]`
    Schema(Option<String>),
    /// `.mode [FORMAT]`
    Mode(Option<Format>),
    /// `.timer [on|off]`
    Timer(Option<Timer>),
    /// `.rows [N|all]`
    Rows(Option<RowLimit>),
    /// `.read FILE`
    Read(PathBuf),
    /// `.output [FILE]`
    Output(Option<PathBuf>),
    /// `.help`
    Help,
    /// `.quit`
    Quit,
}

/// Each command: its name, its argument, what it does.
const COMMANDS: [(&str, &str, &str); 9] = [
    (".help", "", "show this list"),
    (".mode", "[FORMAT]", "how answers look: table, csv, json, ndjson or markdown"),
    (".output", "[FILE]", "send answers to a file; without one, back to the screen"),
    (".quit", "", "leave (also Ctrl-D)"),
    (".read", "FILE", "run the statements of a file"),
    (".rows", "[N|all]", "how many rows a table on the screen shows"),
    (".schema", "[TABLE]", "the columns of all tables, or of one"),
    (".tables", "", "the tables and views"),
    (".timer", "[on|off]", "whether the time of each statement and the bytes it read are shown"),
];

/// Reads a line that begins with a dot; the error says what is wanted.
pub(crate) fn parse(line: &str) -> Result<DotCommand, String> {
    let line = line.trim().trim_end_matches(';').trim_end();
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let argument = Some(rest.trim().to_owned()).filter(|rest| !rest.is_empty());
    match name {
        ".tables" => Ok(DotCommand::Tables),
        ".schema" => Ok(DotCommand::Schema(argument)),
        ".mode" => argument.map(|word| mode(&word)).transpose().map(DotCommand::Mode),
        ".timer" => argument.map(|word| timer(&word)).transpose().map(DotCommand::Timer),
        ".rows" => argument.map(|word| rows(&word)).transpose().map(DotCommand::Rows),
        ".read" => match argument {
            Some(path) => Ok(DotCommand::Read(unquoted(&path))),
            None => Err(".read wants a file, as in `.read questions.sql`".into()),
        },
        ".output" => Ok(DotCommand::Output(argument.map(|path| unquoted(&path)))),
        ".help" => Ok(DotCommand::Help),
        ".quit" | ".exit" => Ok(DotCommand::Quit),
        unknown => Err(unknown_command(unknown)),
    }
}

fn mode(word: &str) -> Result<Format, String> {
    Format::from_str(word, true)
        .map_err(|_| format!("'{word}' is not a mode; wanted is one of {}", formats().join(", ")))
}

fn formats() -> Vec<String> {
    let names = Format::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    names.map(|name| name.get_name().to_owned()).collect()
}

fn timer(word: &str) -> Result<Timer, String> {
    match word {
        "on" => Ok(Timer::On),
        "off" => Ok(Timer::Off),
        other => Err(format!("'{other}' is neither on nor off")),
    }
}

fn rows(word: &str) -> Result<RowLimit, String> {
    if word == "all" {
        return Ok(RowLimit::All);
    }
    let number = word.parse().map_err(|_| format!("'{word}' is neither a number nor 'all'"))?;
    Ok(RowLimit::First(number))
}

/// A path as typed, perhaps with quotes around it.
fn unquoted(path: &str) -> PathBuf {
    let inner = ['\'', '"']
        .iter()
        .find_map(|quote| path.strip_prefix(*quote).and_then(|rest| rest.strip_suffix(*quote)));
    PathBuf::from(inner.unwrap_or(path))
}

fn unknown_command(name: &str) -> String {
    let names = COMMANDS.iter().map(|(name, ..)| *name);
    let nearest = names
        .map(|known| (strsim::damerau_levenshtein(known, name), known))
        .filter(|(distance, _)| *distance <= 2)
        .min();
    match nearest {
        Some((_, known)) => format!("'{name}' is no command; did you mean '{known}'?"),
        None => format!("'{name}' is no command; '.help' lists them"),
    }
}

/// What `.help` prints.
pub(crate) fn help() -> String {
    let mut text = String::new();
    for (name, argument, what) in COMMANDS {
        text.push_str(&format!("{:<18} {what}\n", format!("{name} {argument}")));
    }
    text.push_str(
        "\nStatements end with ';' and may have many lines. Tab completes, Ctrl-C cancels,\n\
         Ctrl-R searches the history. SHOW TABLES, SHOW SEGMENTS and DESCRIBE are SQL.\n",
    );
    text
}

/// The completions of a line that begins with a dot.
pub(crate) fn complete(before: &str, names: &Names) -> Completions {
    let line_start = before.len() - before.trim_start().len();
    let Some((name, rest)) = before[line_start..].split_once(char::is_whitespace) else {
        let commands = COMMANDS.map(|(name, ..)| name.to_owned());
        return matching(&before[line_start..], line_start, [&commands[..]]);
    };
    let word = rest.trim_start();
    let start = before.len() - word.len();
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    match name {
        ".schema" => matching(word, start, [&names.tables[..]]),
        ".mode" => matching(word, start, [&formats()[..]]),
        ".timer" => matching(word, start, [&words(&["off", "on"])[..]]),
        ".rows" => matching(word, start, [&words(&["all"])[..]]),
        _ => Completions { start, words: Vec::new() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_understood() {
        assert_eq!(parse(" .mode csv ;"), Ok(DotCommand::Mode(Some(Format::Csv))));
        assert_eq!(parse(".timer on"), Ok(DotCommand::Timer(Some(Timer::On))));
        assert_eq!(parse(".rows all"), Ok(DotCommand::Rows(Some(RowLimit::All))));
        assert_eq!(parse(".rows 5"), Ok(DotCommand::Rows(Some(RowLimit::First(5)))));
        assert_eq!(parse(".read 'a b.sql'"), Ok(DotCommand::Read("a b.sql".into())));
        assert_eq!(parse(".output"), Ok(DotCommand::Output(None)));
        assert_eq!(parse(".quit"), Ok(DotCommand::Quit));
    }

    #[test]
    fn a_wrong_command_says_what_is_wanted() {
        assert_eq!(
            parse(".tabels").unwrap_err(),
            "'.tabels' is no command; did you mean '.tables'?"
        );
        assert!(parse(".mode xml").unwrap_err().contains("table, csv, json, ndjson, markdown"));
        assert!(parse(".read").unwrap_err().contains("wants a file"));
        assert!(parse(".frobnicate").unwrap_err().contains(".help"));
    }

    #[test]
    fn commands_and_their_arguments_are_completed() {
        let names = Names { tables: vec!["events".into()], ..Names::default() };
        assert_eq!(complete(".ti", &names).words, [".timer"]);
        assert_eq!(complete(".schema ev", &names).words, ["events"]);
        assert_eq!(
            complete(".mode c", &names),
            Completions { start: 6, words: vec!["csv".into()] }
        );
    }

    #[test]
    fn every_command_is_in_the_help() {
        for (name, ..) in COMMANDS {
            assert!(help().contains(name));
            assert!(!parse(name).is_err_and(|error| error.contains("no command")), "{name}");
        }
    }
}

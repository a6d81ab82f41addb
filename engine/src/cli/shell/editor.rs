//! Reading statements from a person: rustyline with our colours, completion and end of statement.

use crate::cli::failure::{Failure, Outcome};
use crate::cli::output::Paint;
use crate::cli::shell::completion::{Names, complete};
use crate::cli::shell::highlight::highlighted;
use crate::cli::shell::history;
use crate::cli::shell::names::names;
use crate::cli::shell::statements::is_unfinished;
use crate::cli::terminal;
use habitue_sql::Session;
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use std::borrow::Cow;
use std::cell::RefCell;
use std::path::PathBuf;
use tokio::runtime::Handle;

const PROMPT: &str = "habitue> ";
const COLOURED_PROMPT: &str = "\u{1b}[1mhabitue>\u{1b}[0m ";
/// So many lines are remembered.
const HISTORY_LINES_MAX: usize = 10_000;

/// What the person did.
pub(crate) enum Input {
    /// A whole text: statements, or a command of the shell.
    Text(String),
    /// Nothing, or Ctrl-C.
    Nothing,
    /// Ctrl-D.
    End,
}

/// Reads one text after the other.
pub(crate) struct LineEditor {
    editor: Editor<SqlHelper, DefaultHistory>,
    history: Option<PathBuf>,
}

impl LineEditor {
    /// An editor with the history of earlier days.
    pub(crate) fn new(session: Session, runtime: Handle) -> Outcome<Self> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .history_ignore_space(true)
            .max_history_size(HISTORY_LINES_MAX)
            .map_err(failed)?
            .build();
        let mut editor = Editor::with_config(config).map_err(failed)?;
        editor.set_helper(Some(SqlHelper {
            session,
            runtime,
            names: RefCell::new(None),
            files: FilenameCompleter::new(),
            paint: terminal::paint(),
        }));
        let history = history::file();
        if let Some(path) = &history {
            // The first time there is none.
            let _ = editor.load_history(path);
        }
        Ok(Self { editor, history })
    }

    /// Waits for a text.
    pub(crate) fn read(&mut self) -> Outcome<Input> {
        match self.editor.readline(&(PROMPT, COLOURED_PROMPT)) {
            Ok(text) if text.trim().is_empty() => Ok(Input::Nothing),
            Ok(text) => {
                self.remember(&text);
                Ok(Input::Text(text))
            }
            Err(ReadlineError::Interrupted) => Ok(Input::Nothing),
            Err(ReadlineError::Eof) => Ok(Input::End),
            Err(error) => Err(failed(error)),
        }
    }

    /// A statement may have changed what there is.
    pub(crate) fn forget_names(&mut self) {
        if let Some(helper) = self.editor.helper_mut() {
            helper.names.replace(None);
        }
    }

    /// Each text is written at once, so that a crash loses none; a history that cannot be written
    /// is no reason to stop.
    fn remember(&mut self, text: &str) {
        let added = self.editor.add_history_entry(text.trim_end()).unwrap_or(false);
        if let Some(path) = self.history.as_ref().filter(|_| added) {
            let _ = self.editor.append_history(path);
        }
    }
}

fn failed(error: ReadlineError) -> Failure {
    match error {
        ReadlineError::Io(error) => Failure::io("read from the terminal", &error),
        other => Failure::request(format!("cannot read from the terminal: {other}")),
    }
}

struct SqlHelper {
    session: Session,
    runtime: Handle,
    /// Read from the database at the first Tab after a statement.
    names: RefCell<Option<Names>>,
    files: FilenameCompleter,
    paint: Paint,
}

impl Helper for SqlHelper {}

impl Hinter for SqlHelper {
    type Hint = String;
}

impl Completer for SqlHelper {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let wants_file = [".read ", ".output "].iter().any(|name| line.starts_with(name));
        if wants_file {
            return self.files.complete(line, pos, context);
        }
        let mut known = self.names.borrow_mut();
        let known = known.get_or_insert_with(|| self.runtime.block_on(names(&self.session)));
        let found = complete(line, pos, known);
        let pair = |word: String| Pair { display: word.clone(), replacement: word };
        Ok((found.start, found.words.into_iter().map(pair).collect()))
    }
}

impl Highlighter for SqlHelper {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        match self.paint {
            Paint::Coloured if !line.starts_with('.') => Cow::Owned(highlighted(line)),
            _ => Cow::Borrowed(line),
        }
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        kind != CmdKind::MoveCursor
    }
}

impl Validator for SqlHelper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input();
        let bare = ["quit", "exit", "\\q"].contains(&text.trim());
        if bare || text.trim_start().starts_with('.') || !is_unfinished(text) {
            return Ok(ValidationResult::Valid(None));
        }
        Ok(ValidationResult::Incomplete)
    }
}

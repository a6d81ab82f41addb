//! `habitue token`: who may connect with a token.

use crate::cli::expiry::Expiry;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::say;
use habitue_sql::access::{NewToken, Role, UsersFile};
use std::path::PathBuf;

/// The arguments of `habitue token`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Programs send a token as `authorization: Bearer TOKEN` over Arrow Flight SQL. The Postgres protocol
has no place for tokens: make a user for it.

Examples:
  habitue token add users.json etl --role writer --expires 90d
  habitue token list users.json
  habitue token remove users.json etl")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a token and print it: it cannot be shown again
    Add {
        /// The users file; made when there is none
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// What the token is for
        #[arg(value_name = "NAME")]
        name: String,
        /// reader asks questions, writer also takes in events and makes segments, admin also
        /// changes who is who
        #[arg(long, value_name = "ROLE", default_value = "reader")]
        role: Role,
        #[command(flatten)]
        expiry: Expiry,
    },
    /// List the tokens, without the tokens themselves
    List {
        /// The users file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Remove a token
    Remove {
        /// The users file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The name of the token
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// Changes or shows the file.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    match &arguments.action {
        Action::Add { file, name, role, expiry } => {
            UsersFile::ensure_name(name)?;
            let mut users = UsersFile::read_or_new(file)?;
            if users.tokens.contains_key(name) {
                let failure = Failure::request(format!("token '{name}' exists already"));
                return Err(failure.with_advice("remove it first: who holds it must get the new"));
            }
            let made = NewToken::generate(*role, expiry.end()?);
            users.tokens.insert(name.clone(), made.entry);
            users.write(file)?;
            say(&format!("{}\n", made.token))
        }
        Action::List { file } => {
            let tokens = UsersFile::read(file)?.tokens;
            let lines = tokens.iter().map(|(name, token)| {
                format!("{name}  {}  {}\n", token.role, Expiry::words(token.expires_at))
            });
            say(&lines.collect::<String>())
        }
        Action::Remove { file, name } => {
            let mut users = UsersFile::read(file)?;
            if users.tokens.remove(name).is_none() {
                return Err(Failure::request(format!("token '{name}' does not exist")));
            }
            users.write(file)?;
            say(&format!("token '{name}' is worth nothing any more\n"))
        }
    }
}

//! `habitue user`: who may log in with a password.

use crate::cli::expiry::Expiry;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::say;
use habitue_sql::access::{Role, UserEntry, UsersFile};
use std::io::{BufRead, IsTerminal, stdin};
use std::path::PathBuf;

/// The arguments of `habitue user`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The file holds hashes, no passwords, and only its owner may read it. A server that runs with
--users FILE sees a change at the next log-in.

Examples:
  habitue user add users.json ada --role admin
  habitue user add users.json superset --role reader --password-stdin < secret
  habitue user add users.json guest --expires 7d
  habitue user list users.json
  habitue user remove users.json guest")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Add a user; asks for the password
    Add {
        /// The users file; made when there is none
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The name to log in with
        #[arg(value_name = "NAME")]
        name: String,
        /// reader asks questions, writer also takes in events and makes segments, admin also
        /// changes who is who
        #[arg(long, value_name = "ROLE", default_value = "reader")]
        role: Role,
        #[command(flatten)]
        expiry: Expiry,
        /// Read the password from the first line of the standard input
        #[arg(long)]
        password_stdin: bool,
        /// Give a user that exists another password, role and expiry
        #[arg(long)]
        replace: bool,
    },
    /// List the users
    List {
        /// The users file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Remove a user
    Remove {
        /// The users file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The name of the user
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// Changes or shows the file.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    match &arguments.action {
        Action::Add { file, name, role, expiry, password_stdin, replace } => {
            UsersFile::ensure_name(name)?;
            let mut users = UsersFile::read_or_new(file)?;
            if users.users.contains_key(name) && !replace {
                let failure = Failure::request(format!("user '{name}' exists already"));
                return Err(failure.with_advice("give --replace to set the password anew"));
            }
            let password = if *password_stdin { first_line()? } else { asked_twice()? };
            let user = UserEntry::new(*role, &password, expiry.end()?)?;
            users.users.insert(name.clone(), user);
            users.write(file)?;
            say(&format!("user '{name}' may log in as {role}\n"))
        }
        Action::List { file } => {
            let users = UsersFile::read(file)?.users;
            let lines = users.iter().map(|(name, user)| {
                format!("{name}  {}  {}\n", user.role, Expiry::words(user.expires_at))
            });
            say(&lines.collect::<String>())
        }
        Action::Remove { file, name } => {
            let mut users = UsersFile::read(file)?;
            if users.users.remove(name).is_none() {
                return Err(Failure::request(format!("user '{name}' does not exist")));
            }
            users.write(file)?;
            say(&format!("user '{name}' may not log in any more\n"))
        }
    }
}

fn first_line() -> Outcome<String> {
    let mut line = String::new();
    let read = stdin().lock().read_line(&mut line);
    read.map_err(|error| Failure::io("read the standard input", &error))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// The password as a person types it, twice, without showing it.
fn asked_twice() -> Outcome<String> {
    if !stdin().is_terminal() {
        let failure = Failure::request("there is no terminal to ask for the password");
        return Err(failure.with_advice("give --password-stdin and the password as its first line"));
    }
    let ask = |prompt: &str| {
        let typed = rpassword::prompt_password(prompt);
        typed.map_err(|error| Failure::io("read the password", &error))
    };
    let password = ask("Password: ")?;
    match password == ask("The same again: ")? {
        true => Ok(password),
        false => Err(Failure::request("the two passwords differ")),
    }
}

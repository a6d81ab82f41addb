//! `habitue serve`: answer tools over Arrow Flight SQL and the Postgres protocol.

use crate::cli::age::parse_age;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::machine::Machine;
use crate::cli::say;
use crate::cli::size::parse_size;
use habitue::{LocalFiles, ServeRequest};
use habitue_sql::access::{Access, ServerLimits, Shutdown, ShutdownTrigger, TlsFiles, Turns};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::{TcpListener, lookup_host};

/// The arguments of `habitue serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Nobody may connect unless they are in the users file: `habitue user add FILE NAME`,
`habitue token add FILE NAME`. Other machines are answered through TLS only.

Examples:
  habitue serve shop --flight 127.0.0.1:8815 --postgres 127.0.0.1:5432 --users users.json
  habitue serve shop --postgres 0.0.0.0:5432 --users users.json \\
      --tls-cert server.pem --tls-key server.key
  habitue serve shop --flight 127.0.0.1:8815 --insecure")]
pub(crate) struct Arguments {
    /// The database
    #[arg(value_name = "DB")]
    database: String,
    /// Speak Arrow Flight SQL at this address
    #[arg(long, value_name = "ADDRESS", required_unless_present = "postgres")]
    flight: Option<String>,
    /// Speak the Postgres protocol at this address
    #[arg(long, value_name = "ADDRESS")]
    postgres: Option<String>,
    #[command(flatten)]
    door: Door,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    machine: Machine,
}

/// Who may come in.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Access")]
struct Door {
    /// Who may connect, as which role: a file of `habitue user` and `habitue token`
    #[arg(long, value_name = "FILE", required_unless_present = "insecure")]
    users: Option<PathBuf>,
    /// The certificate of this server, in PEM form
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate, in PEM form
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Clients must have a certificate of this authority; its common name is their user
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
    /// Ask nobody who they are: everybody who can connect may read and change everything
    #[arg(long, conflicts_with = "users")]
    insecure: bool,
    /// With --insecure: other machines, too
    #[arg(long, requires = "insecure")]
    open_to_the_network: bool,
    /// Administrators may read and write files of this machine in SQL
    #[arg(long)]
    allow_local_files: bool,
}

/// What connections may cost.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
struct Limits {
    /// So many connections at a time, for each of the two protocols
    #[arg(long, value_name = "N", default_value_t = 100)]
    connections: usize,
    /// End a session that has asked nothing for so long
    #[arg(long, value_name = "AGE", default_value = "30m", value_parser = parse_age)]
    idle_timeout: Duration,
    /// End a statement that takes longer; 0s is never
    #[arg(long, value_name = "AGE", default_value = "10m", value_parser = parse_age)]
    statement_timeout: Duration,
    /// So many statements run at a time; further ones wait
    #[arg(long, value_name = "N", default_value_t = 32)]
    statements: usize,
    /// So many of these may read more than some hundred thousand rows, or change something: the
    /// places of the others are kept for short questions [default: as many as processors, 2 at least]
    #[arg(long, value_name = "N")]
    long_statements: Option<usize>,
    /// How much memory the statements of one session may take [default: all there is]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    session_memory: Option<u64>,
    /// End a query that answers more rows [default: no limit]
    #[arg(long, value_name = "N")]
    max_rows: Option<u64>,
}

/// Serves until it is told to end.
pub(crate) async fn run(arguments: Arguments) -> Outcome {
    let limits = arguments.limits.limits(arguments.door.local_files());
    let access = arguments.door.access()?;
    let flight = bind(arguments.flight.as_deref(), &arguments.door).await?;
    let postgres = bind(arguments.postgres.as_deref(), &arguments.door).await?;
    let builder = arguments.machine.builder().local_files(limits.local_files);
    let engine = builder.open(&arguments.database).await?;
    let mut request = ServeRequest::new(access).limits(limits);
    let encrypted = match arguments.door.tls() {
        Some(files) => {
            request = request.tls(files);
            "on"
        }
        None => "off",
    };
    for (protocol, listener) in [("flight", &flight), ("postgres", &postgres)] {
        if let Some(address) = listener.as_ref().and_then(|listener| listener.local_addr().ok()) {
            say(&format!("listening. protocol={protocol} address={address} tls={encrypted}\n"))?;
        }
    }
    request = flight.into_iter().fold(request, ServeRequest::flight);
    request = postgres.into_iter().fold(request, ServeRequest::postgres);
    let (trigger, shutdown) = Shutdown::new();
    let signals = tokio::spawn(ask_at_signal(trigger));
    let served = engine.serve(request, shutdown).await;
    signals.abort();
    served?;
    say("ended\n")
}

impl Door {
    fn access(&self) -> Outcome<Access> {
        match &self.users {
            Some(file) => Ok(Access::from_file(file)?),
            None => Ok(Access::open()),
        }
    }

    fn tls(&self) -> Option<TlsFiles> {
        let (certificate, key) = (self.tls_cert.clone()?, self.tls_key.clone()?);
        Some(TlsFiles { certificate, key, client_ca: self.tls_client_ca.clone() })
    }

    fn local_files(&self) -> LocalFiles {
        if self.allow_local_files { LocalFiles::Allowed } else { LocalFiles::Refused }
    }

    /// Refuses to send passwords and people's data in the clear to other machines, and to let
    /// other machines in without asking.
    fn ensure_may_listen(&self, address: SocketAddr) -> Outcome {
        if address.ip().is_loopback() {
            return Ok(());
        }
        if self.insecure && !self.open_to_the_network {
            let failure = Failure::request(format!(
                "--insecure at {address} would let every machine that reaches it change everything"
            ));
            let advice = "use 127.0.0.1, or --users, or say --open-to-the-network as well";
            return Err(failure.with_advice(advice));
        }
        if !self.insecure && self.tls_cert.is_none() {
            let failure = Failure::request(format!(
                "without TLS, passwords and rows could be read on the way to {address}"
            ));
            return Err(failure.with_advice("use 127.0.0.1, or give --tls-cert and --tls-key"));
        }
        Ok(())
    }
}

impl Limits {
    fn turns(&self) -> Turns {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Turns::new(self.statements, self.long_statements.unwrap_or(threads.max(2)))
    }

    fn limits(&self, local_files: LocalFiles) -> ServerLimits {
        let unlimited = self.statement_timeout.is_zero();
        ServerLimits {
            connections_max: self.connections,
            session_idle_max: self.idle_timeout,
            statement_time_max: (!unlimited).then_some(self.statement_timeout),
            session_memory_bytes_max: self
                .session_memory
                .map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
            rows_max: self.max_rows,
            turns: self.turns(),
            local_files,
        }
    }
}

/// Listens at an address such as `127.0.0.1:5432`, `localhost:5432` or `[::1]:5432`.
async fn bind(address: Option<&str>, door: &Door) -> Outcome<Option<TcpListener>> {
    let Some(text) = address else { return Ok(None) };
    let found = lookup_host(text).await;
    let found = found.map_err(|error| {
        Failure::io(&format!("listen at '{text}'"), &error)
            .with_advice("wanted is something like 127.0.0.1:5432")
    })?;
    let addresses: Vec<SocketAddr> = found.collect();
    for address in &addresses {
        door.ensure_may_listen(*address)?;
    }
    let listener = TcpListener::bind(&addresses[..]).await;
    let listener = listener.map_err(|error| Failure::io(&format!("listen at {text}"), &error))?;
    Ok(Some(listener))
}

/// Ctrl-C or a polite kill asks the servers to end; the second one ends at once.
async fn ask_at_signal(trigger: ShutdownTrigger) {
    signal().await;
    // Nobody may be left to read it.
    let _ = say("ending: statements that run have a moment\n");
    trigger.ask();
    signal().await;
    std::process::exit(130);
}

#[cfg(unix)]
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn signal() {
    let _ = tokio::signal::ctrl_c().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_listen(door: &Door, address: &str) -> Result<(), String> {
        door.ensure_may_listen(address.parse().unwrap()).map_err(|failure| failure.message)
    }

    // If this fails, passwords and people's data go through the network in the clear.
    #[test]
    fn other_machines_are_answered_through_tls_only() {
        let users = Door { users: Some("users.json".into()), ..Door::default() };
        assert_eq!(may_listen(&users, "127.0.0.1:1"), Ok(()));
        assert_eq!(may_listen(&users, "[::1]:1"), Ok(()));
        for outside in ["0.0.0.0:1", "192.0.2.1:1", "[::]:1"] {
            assert!(may_listen(&users, outside).unwrap_err().contains("without TLS"), "{outside}");
        }
        let tls = Door { tls_cert: Some("cert.pem".into()), ..users };
        assert_eq!(may_listen(&tls, "0.0.0.0:1"), Ok(()));
    }

    // If this fails, one careless option opens the database to the network.
    #[test]
    fn insecure_off_loopback_is_said_twice() {
        let insecure = Door { insecure: true, ..Door::default() };
        assert_eq!(may_listen(&insecure, "127.0.0.1:1"), Ok(()));
        let refused = may_listen(&insecure, "0.0.0.0:1").unwrap_err();
        assert!(refused.contains("change everything"), "{refused}");
        let twice = Door { open_to_the_network: true, ..insecure };
        assert_eq!(may_listen(&twice, "0.0.0.0:1"), Ok(()));
    }
}

//! Serving a database to tools: Arrow Flight SQL and the Postgres protocol.

use crate::engine::Engine;
use crate::error::{Error, Result};
use habitue_sql::access::{Access, ServerLimits, Shutdown, TlsFiles};
use tokio::net::TcpListener;

/// What is served, to whom, and at what cost.
///
/// ```no_run
/// # async fn example(engine: habitue::Engine) -> Result<(), Box<dyn std::error::Error>> {
/// use habitue::{Access, ServeRequest, Shutdown};
///
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:5432").await?;
/// let access = Access::from_file("users.json".as_ref())?;
/// let (_trigger, shutdown) = Shutdown::new();
/// engine.serve(ServeRequest::new(access).postgres(listener), shutdown).await?;
/// # Ok(()) }
/// ```
pub struct ServeRequest {
    access: Access,
    limits: ServerLimits,
    tls: Option<TlsFiles>,
    flight: Option<TcpListener>,
    postgres: Option<TcpListener>,
}

impl ServeRequest {
    /// Serves nothing yet, to those whom `access` knows.
    pub fn new(access: Access) -> Self {
        let limits = ServerLimits::default();
        Self { access, limits, tls: None, flight: None, postgres: None }
    }

    /// What connections may cost.
    #[must_use]
    pub fn limits(mut self, limits: ServerLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Encrypts every connection.
    #[must_use]
    pub fn tls(mut self, files: TlsFiles) -> Self {
        self.tls = Some(files);
        self
    }

    /// Speaks Arrow Flight SQL to who connects here.
    #[cfg(feature = "flight")]
    #[must_use]
    pub fn flight(mut self, listener: TcpListener) -> Self {
        self.flight = Some(listener);
        self
    }

    /// Speaks the Postgres protocol to who connects here.
    #[cfg(feature = "postgres")]
    #[must_use]
    pub fn postgres(mut self, listener: TcpListener) -> Self {
        self.postgres = Some(listener);
        self
    }

    /// A listener off loopback sends passwords and people's data through the network. Without TLS
    /// only a server that asks for no password may do that: its administrator gave up both.
    fn ensure_encrypted(&self) -> Result<()> {
        let mut listeners = self.flight.iter().chain(&self.postgres);
        let outside = listeners
            .any(|listener| listener.local_addr().is_ok_and(|address| !address.ip().is_loopback()));
        if outside && self.tls.is_none() && !self.access.is_open() {
            return Err(Error::Invalid {
                what: "an address that other machines can reach",
                reason: "without TLS, passwords and rows could be read on the way".into(),
            });
        }
        Ok(())
    }
}

impl Engine {
    /// Serves the database until `shutdown` is asked for and the statements that run have ended, or
    /// some seconds have passed.
    ///
    /// # Errors
    /// When the certificate cannot be used, or a listener off loopback has none.
    pub async fn serve(&self, request: ServeRequest, shutdown: Shutdown) -> Result<()> {
        request.ensure_encrypted()?;
        let ServeRequest { access, limits, tls, flight, postgres } = request;
        let flight = async {
            #[cfg(feature = "flight")]
            if let Some(listener) = flight {
                let (access, limits, tls) = (access.clone(), limits.clone(), tls.clone());
                let (database, shutdown) = (self.database().clone(), shutdown.clone());
                habitue_sql::flight::serve(database, access, limits, tls, listener, shutdown)
                    .await?;
            }
            Ok::<(), Error>(())
        };
        let postgres = async {
            #[cfg(feature = "postgres")]
            if let Some(listener) = postgres {
                let (access, limits, tls) = (access.clone(), limits.clone(), tls.clone());
                let (database, shutdown) = (self.database().clone(), shutdown.clone());
                habitue_sql::postgres::serve(database, access, limits, tls, listener, shutdown)
                    .await?;
            }
            Ok::<(), Error>(())
        };
        tokio::try_join!(flight, postgres)?;
        Ok(())
    }
}

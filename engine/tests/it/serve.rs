//! Serving a database from a program. Breaks for a user if this fails: passwords and people's data go
//! through the network in the clear.

use habitue::{Access, Engine, ServeRequest, Shutdown};
use habitue_sql::access::{NewToken, Role, UsersFile};
use tokio::net::TcpListener;

#[tokio::test]
async fn other_machines_are_answered_through_tls_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.json");
    let mut users = UsersFile::default();
    users.tokens.insert("dashboards".into(), NewToken::generate(Role::Reader, None).entry);
    users.write(&path).unwrap();
    let engine = Engine::open("memory://").await.unwrap();
    for address in ["0.0.0.0:0", "127.0.0.1:0"] {
        for protocol in [ServeRequest::flight, ServeRequest::postgres] {
            let listener = TcpListener::bind(address).await.unwrap();
            let request = ServeRequest::new(Access::from_file(&path).unwrap());
            let (trigger, shutdown) = Shutdown::new();
            trigger.ask();
            let served = engine.serve(protocol(request, listener), shutdown).await;
            let told = served.err().map(|error| error.to_string()).unwrap_or_default();
            assert_eq!(told.contains("without TLS"), address.starts_with('0'), "{address}: {told}");
        }
    }
}

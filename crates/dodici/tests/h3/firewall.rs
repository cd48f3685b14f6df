//! A firewall that drops UDP, in a network namespace of its own: needs root, `unshare`, `ip` and
//! `nft`.

use std::process::{Command, Stdio};

use dodici::Version;
use dodici_testkit::client::get;
use dodici_testkit::{H3Origin, within};

use crate::discovery::{at, client, discovering, offering, until_http3};
use crate::support::Trust;

/// Whether this succeeds.
fn works(command: &mut Command) -> bool {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

#[test]
fn behind_a_firewall_that_drops_udp_every_request_is_answered_over_tcp() {
    let namespace = "ip link set lo up && nft list ruleset && exec \"$@\"";
    let inside = |command: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "sh", "-c", namespace, "sh"]);
        unshare.args(command);
        unshare
    };
    if !works(&mut inside(&["true"])) {
        eprintln!("left out: it needs root, unshare, ip and nft");
        return;
    }
    let program = std::env::current_exe().unwrap();
    let inner = "firewall::a_pool_in_this_namespace";
    let ended = inside(&[program.to_str().unwrap(), "--ignored", "--exact", inner]).output();
    let ended = ended.unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "the test above runs it, in a network namespace"]
async fn a_pool_in_this_namespace() {
    let trust = Trust::new();
    let h3 = H3Origin::start(&trust.server());
    let tcp = offering(&trust.leaf, &at(h3.port())).await;
    let engine = dodici::Engine::on_runtime(tokio::runtime::Handle::current());
    let open = client(&engine, tcp.port(), discovering(&trust));
    within("HTTP/3", until_http3(&open)).await;
    open.shut_down().await;
    let executed = h3.executed().len();
    let rules = "add table inet test
        add chain inet test in { type filter hook input priority 0; }
        add rule inet test in meta l4proto udp drop";
    assert!(works(Command::new("nft").arg(rules)));
    for _ in 0..3 {
        let client = client(&engine, tcp.port(), discovering(&trust));
        let calls: Vec<_> = (0..20).map(|_| client.send(get("/bytes/3"))).collect();
        for call in calls {
            let seen = within("response", call.ended()).await;
            assert_eq!(seen.head.as_ref().unwrap().version, Version::Http11);
        }
        client.shut_down().await;
    }
    assert_eq!(h3.executed().len(), executed);
    h3.finish().await;
    tcp.finish().await;
}

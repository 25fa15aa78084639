//! Who may ask, and the page.

use kiln_datasets::Tokenizer;
use serde_json::json;

use crate::server::Server;

#[test]
fn a_key_is_asked_for_where_it_matters() {
    let bytes = Tokenizer::open("byte").expect("built in");
    let of_environment = Server::start_with(&[], &[("KILN_API_KEY", "secret")], &bytes);
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = folder.path().join("key");
    std::fs::write(&file, "secret\n").expect("writable");
    let of_file = Server::start(&["--api-key-file", file.to_str().expect("UTF-8")]);
    for server in [of_environment, of_file] {
        let ask = |headers: &[(&str, &str)]| server.send("GET", "/v1/models", headers, "");
        let error = ask(&[]).error(401);
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!("authentication_error"), &json!("invalid_api_key"))
        );
        ask(&[("Authorization", "Bearer secreT")]).error(401);
        ask(&[("Authorization", "Bearer ")]).error(401);
        assert_eq!(ask(&[("Authorization", "Bearer secret")]).status, 200);
        assert_eq!(ask(&[("X-Api-Key", "secret")]).status, 200);
        server.get("/metrics").error(401);
        server.get("/nothing").error(401);
        for open in ["/", "/app.css", "/app.js", "/health"] {
            assert_eq!(server.get(open).status, 200, "{open}");
        }
    }
}

#[test]
fn a_server_is_called_by_its_names_and_asked_by_its_pages() {
    let server = Server::start(&["--allow-host", "kiln.example", "--allow-origin", "https://app.example"]);
    let called = |host: &str| server.send("GET", "/v1/models", &[("Host", host)], "");
    for host in ["localhost:1", "127.0.0.1", "[::1]:8080", "KILN.example"] {
        assert_eq!(called(host).status, 200, "{host}");
    }
    for host in ["evil.example", "", "evil.example:8080"] {
        assert_eq!(called(host).error(403)["type"], "permission_error");
    }
    let asked = |origin: &str| server.send("GET", "/v1/models", &[("Origin", origin)], "");
    let own = asked(&format!("http://{}", server.address));
    assert!(own.status == 200 && !own.headers.contains_key("access-control-allow-origin"));
    let allowed = asked("https://app.example");
    assert_eq!(allowed.headers["access-control-allow-origin"], "https://app.example");
    let foreign = asked("https://evil.example");
    assert!(!foreign.headers.contains_key("access-control-allow-origin"));
    foreign.error(403);
    let preflight = server.send(
        "OPTIONS",
        "/v1/chat/completions",
        &[
            ("Origin", "https://app.example"),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "authorization,x-stainless-os"),
        ],
        "",
    );
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.headers["access-control-allow-headers"], "authorization,x-stainless-os");
}

#[test]
fn the_page_comes_once_and_loads_nothing_from_elsewhere() {
    let server = Server::start(&[]);
    for (path, content_type) in [("/", "text/html"), ("/app.css", "text/css"), ("/app.js", "text/javascript")]
    {
        let first = server.get(path);
        assert!(first.status == 200 && first.headers["content-type"].starts_with(content_type), "{path}");
        assert!(
            first.headers["content-security-policy"].starts_with("default-src 'none'; script-src 'self';")
        );
        assert_eq!(first.headers["x-content-type-options"], "nosniff");
        assert_eq!(first.headers["referrer-policy"], "no-referrer");
        assert!(!first.body.contains("https://"), "{path}");
        let again = server.send("GET", path, &[("If-None-Match", &first.headers["etag"])], "");
        assert_eq!((again.status, &again.body[..]), (304, ""));
    }
}

//! Whatever comes in: a policy that passes, or a report, and no panic.

use proptest::prelude::*;

use super::*;

fn import(dialect: Dialect, text: &str) -> Made {
    convert(dialect, Files::of_text("foreign.conf", text))
}

/// The policy of a text, which must pass.
#[track_caller]
fn policy(dialect: Dialect, text: &str) -> String {
    let made = import(dialect, text);
    if let Some(report) = &made.refused {
        panic!("{report}\n{}", made.text);
    }
    let again = pointsman_config::format::format(&made.text, Path::new("p.toml")).unwrap();
    assert_eq!(again, made.text, "it is laid out");
    made.text
}

#[track_caller]
fn has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|one| one == *line), "{line}\n---\n{text}");
    }
}

const ALL: [Dialect; 3] = [Dialect::Nginx, Dialect::Haproxy, Dialect::Caddy];

#[test]
fn nothing_gives_no_policy_and_says_why() {
    for dialect in ALL {
        for text in ["", "\n", "# nothing", "}", "{"] {
            let made = import(dialect, text);
            let report = made.refused.expect("no listener");
            assert!(report.has_errors(), "{dialect:?} {text:?}");
        }
    }
}

#[test]
fn tls_with_servers_is_verified_where_it_was() {
    let open = "tls = { verify = false }";
    let strict = "tls = { name = \"app.internal\", ca = \"/proc/version\" }";
    let nginx = |more: &str| {
        let text = format!(
            "server {{ listen 80; location / {{ proxy_pass https://app.internal; {more} }} }}"
        );
        policy(Dialect::Nginx, &text)
    };
    has(
        &nginx("proxy_ssl_server_name on;"),
        &[open, "backends = [\"app.internal:443\"]"],
    );
    let more = "proxy_ssl_verify on; proxy_ssl_trusted_certificate /proc/version;";
    has(&nginx(more), &[strict]);
    let haproxy = |more: &str| {
        let text = format!(
            "frontend web\n bind :80\n default_backend app\nbackend app\n server a 10.0.0.1:443 ssl {more}\n"
        );
        policy(Dialect::Haproxy, &text)
    };
    has(&haproxy("verify none ca-file /nowhere"), &[open]);
    let strict = "tls = { verify = true, ca = \"/proc/version\", name = \"app.internal\" }";
    has(
        &haproxy("verify required ca-file /proc/version verifyhost app.internal"),
        &[strict],
    );
    let caddy = |more: &str| {
        let text = format!(":80 {{\n reverse_proxy https://app.internal {{\n {more}\n }}\n}}\n");
        policy(Dialect::Caddy, &text)
    };
    has(&caddy(""), &["tls = { verify = true }"]);
    has(
        &caddy("transport http {\n tls_insecure_skip_verify\n }"),
        &[open],
    );
}

#[test]
fn nginx_with_upstreams_locations_and_redirects() {
    let text = "
        worker_processes 4;
        http {
            limit_req_zone $binary_remote_addr zone=one:10m rate=10r/s;
            upstream shop { least_conn; server 10.0.0.1:8080 weight=3; server 10.0.0.2:8080 backup; }
            server { listen 80 default_server; server_name example.com; return 301 https://$host$request_uri; }
            server {
                listen 443 ssl; server_name shop.example.com;
                ssl_certificate /proc/version; ssl_certificate_key /proc/version;
                location / { proxy_pass http://shop; proxy_set_header Host $host; proxy_read_timeout 30s; }
                location /api/ { limit_req zone=one burst=20 nodelay; proxy_pass http://127.0.0.1:3000/; }
                location = /health { return 200 'ok'; }
                location ~ \\.php$ { fastcgi_pass unix:/run/php.sock; }
            }
        }";
    let made = policy(Dialect::Nginx, text);
    has(
        &made,
        &[
            "workers = 4",
            "balance = \"least-request\"",
            "tls = { cert = \"/proc/version\", key = \"/proc/version\" }",
            "match = { listener = \"http\" }",
            "redirect = { to = \"https://{host}{uri}\", status = 301 }",
            "match = { path = \"/api/*\", listener = \"https\" }",
            "rewrite = { prefix = \"/\" }",
            "limit = { rate = \"10/s\", burst = 21 }",
            "respond = { status = 200, body = \"ok\" }",
        ],
    );
    assert!(
        made.contains("{ addr = \"10.0.0.2:8080\", backup = true }"),
        "{made}"
    );
    assert!(
        made.contains("# foreign.conf:13: `location ~ \\.php$ { ... }`"),
        "{made}"
    );
}

#[test]
fn nginx_splits_clients_and_forwards_tcp() {
    let text = "
        split_clients $remote_addr $variant { 5% canary; * stable; }
        upstream stable { server 10.0.0.1:80; }
        upstream canary { server 10.0.0.2:80 max_fails=0; }
        server { listen 8080; location / { proxy_pass http://$variant; } }
        stream { upstream db { server 10.0.0.3:5432; } server { listen 5432; proxy_pass db; proxy_timeout 1h; } }";
    let made = policy(Dialect::Nginx, text);
    has(
        &made,
        &[
            "split = { canary = 500, stable = 9500 }",
            "eject = false",
            "protocol = \"tcp\"",
            "timeouts = { tunnel = \"1h\" }",
        ],
    );
}

#[test]
fn haproxy_with_acls_checks_and_cookies() {
    let text = "
global
    maxconn 20000
defaults
    mode http
    timeout connect 5000
    timeout client 50s
    timeout server 30s
    retries 2
frontend web
    bind *:80
    bind *:443 ssl crt /proc/version alpn h2,http/1.1
    http-request redirect scheme https code 301 unless { ssl_fc }
    acl is_api path_beg /api
    acl host_shop hdr(host) -i shop.example.com
    acl host_shop hdr(host) -i www.shop.example.com
    http-request deny if { path /admin } !{ src 10.0.0.0/8 }
    use_backend api if is_api host_shop
    use_backend api if { hdr(host) api.example.com } or { hdr(host) v1.example.com }
    default_backend app
backend app
    balance leastconn
    option httpchk GET /healthz
    cookie SRV insert indirect nocache
    server one 10.0.0.1:8080 check inter 3s fall 2 cookie one weight 10
    server two 10.0.0.2:8080 check backup
backend api
    server a 10.0.1.1:80 maxconn 50
listen db
    bind :3306
    mode tcp
    server m 10.0.2.1:3306 check
listen stats
    bind :8404
    stats enable
";
    let made = policy(Dialect::Haproxy, text);
    has(
        &made,
        &[
            "max_connections = 20000",
            "redirect = { to = \"https://{host}{uri}\", status = 301 }",
            "tls = { cert = \"/proc/version\", key = \"/proc/version\" }",
            "sticky = { cookie = \"SRV\" }",
            "protocol = \"tcp\"",
            "limit = { requests = 50 }",
            "timeouts = { response = \"30s\" }",
            "retry = { attempts = 3 }",
        ],
    );
    assert!(made.contains("path = \"/healthz\""), "{made}");
    assert!(
        made.contains("host = [\"shop.example.com\", \"www.shop.example.com\"], path = \"/api/*\""),
        "{made}"
    );
    assert!(
        made.contains("# foreign.conf:17: `http-request deny"),
        "{made}"
    );
    assert!(made.contains("# foreign.conf:33: `listen stats`"), "{made}");
}

#[test]
fn earlier_rules_of_haproxy_hold_for_the_hosts_of_later_ones() {
    let text = "frontend f
 bind :80
 http-request deny if { path_beg /admin }
 use_backend b if { hdr(host) x.example.com }
 default_backend b
backend b
 server s 10.0.0.1:80
";
    let made = policy(Dialect::Haproxy, text);
    has(
        &made,
        &[
            "match = { path = \"/admin/*\" }",
            "match = { host = \"x.example.com\", path = \"/admin/*\" }",
        ],
    );
}

#[test]
fn a_listener_without_its_certificate_is_left_out_with_its_routes() {
    let text = "server { listen 80; location / { proxy_pass http://10.0.0.1; } }
        server { listen 443 ssl; ssl_certificate /no/where.pem; ssl_certificate_key /no/where.key;
                 location / { proxy_pass http://10.0.0.2; } }";
    let made = policy(Dialect::Nginx, text);
    has(
        &made,
        &[
            "bind = \":80\"",
            "# bind = \":443\"",
            "# pool = \"10.0.0.2:80\"",
        ],
    );
    assert!(
        made.contains("# left out: /no/where.pem does not exist"),
        "{made}"
    );
}

#[test]
fn caddy_with_handles_snippets_and_policies() {
    let text = "
{
    email a@example.com
}
(common) {
    header X-Served-By {args[0]}
}
shop.example.com {
    tls /proc/version /proc/version
    import common edge
    encode gzip
    handle_path /api/* {
        reverse_proxy 10.0.1.1:80 10.0.1.2:80 {
            lb_policy least_conn
            health_uri /healthz
            health_interval 5s
        }
    }
    @old path /old /older
    redir @old https://example.com{uri} permanent
    reverse_proxy localhost:3000 {
        lb_policy cookie SRV
        header_up X-Env prod
    }
}
http://plain.example.com, :8080 {
    respond /ping \"pong\" 200
    reverse_proxy unix//run/app.sock
}";
    let made = policy(Dialect::Caddy, text);
    has(
        &made,
        &[
            "rewrite = { prefix = \"/\" }",
            "health = { path = \"/healthz\", interval = \"5s\" }",
            "sticky = { cookie = \"SRV\" }",
            "response_headers = { set = { X-Served-By = \"edge\" } }",
            "request_headers = { set = { X-Env = \"prod\" } }",
            "redirect = { to = \"https://example.com{uri}\", status = 301 }",
            "backends = [\"unix:/run/app.sock\"]",
            "respond = { status = 200, body = \"pong\" }",
        ],
    );
    assert!(made.contains("# foreign.conf:11: `encode gzip`"), "{made}");
}

#[test]
fn what_caddy_never_reaches_is_a_comment() {
    let text = "
http://one.example.com {
    respond /ping \"pong\" 200
    redir /old/* https://example.com{uri}
    handle {
        reverse_proxy 10.0.0.1:80
    }
}
http://two.example.com {
    route {
        respond /ping \"pong\" 200
        handle {
            reverse_proxy 10.0.0.2:80
        }
    }
}";
    let made = policy(Dialect::Caddy, text);
    assert!(made.contains("# foreign.conf:3: `respond /ping"), "{made}");
    assert_eq!(made.matches("body = \"pong\"").count(), 1, "{made}");
    has(
        &made,
        &[
            "match = { host = \"one.example.com\", path = \"/old/*\" }",
            "backends = [\"10.0.0.1:80\"]",
            "match = { host = \"two.example.com\", path = \"/ping\" }",
            "backends = [\"10.0.0.2:80\"]",
        ],
    );
}

#[test]
fn the_short_form_of_caddy_is_one_site() {
    let made = policy(
        Dialect::Caddy,
        ":8080\n\nreverse_proxy 127.0.0.1:3000 127.0.0.1:3001\n",
    );
    has(
        &made,
        &[
            "bind = \":8080\"",
            "backends = [\"127.0.0.1:3000\", \"127.0.0.1:3001\"]",
        ],
    );
}

#[test]
fn what_the_check_refuses_becomes_a_comment() {
    let text = "server { listen 8080; add_header Connection close; location / { proxy_pass http://10.0.0.1; } }";
    let made = policy(Dialect::Nginx, text);
    assert!(made.contains("# left out: "), "{made}");
    has(&made, &["pool = \"10.0.0.1:80\""]);
}

#[test]
fn foreign_variables_are_no_variables_here() {
    let text = "server { listen 8080; location / { return 200 '${HOME} \"x\" \\\\'; } }";
    let text = text.replace("${HOME}", "{HOME}");
    policy(Dialect::Nginx, &text);
    let text = "frontend f\n bind :80\n http-request return status 200 string '${HOME}'\n";
    assert!(policy(Dialect::Haproxy, text).contains("$${HOME}"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_text_makes_a_panic(text in "(server|location|listen|frontend x|backend y|bind|acl|use_backend|if|\\{|\\}|;|\n| |:80|/a|\\*|@x|[\\PC]|reverse_proxy|proxy_pass http://|redirect|\"|'|\\\\){0,60}") {
        for dialect in ALL {
            let made = import(dialect, &text);
            let passes = Policy::from_toml(&made.text, Path::new("p.toml")).is_ok();
            prop_assert_eq!(passes, made.refused.is_none());
        }
    }

    #[test]
    fn no_mangled_configuration_makes_a_panic(cut in 0usize..900, more in "\\PC{0,8}") {
        let sites = [
            "http { upstream a { server 10.0.0.1:80; } server { listen 80; server_name x.y; location /a/ { proxy_pass http://a/b; } if ($host = z) { return 301 https://$host$request_uri; } } }",
            "frontend f\n bind :80,:443 ssl crt x\n acl a path_beg /x\n use_backend b if a !{ ssl_fc } or { src 1.2.3.4 }\nbackend b\n server s 1.2.3.4:80 check inter 2s weight 3\n",
            "x.y {\n handle_path /a/* {\n reverse_proxy 1.2.3.4:80 {\n lb_policy first\n }\n }\n respond @n 404\n @n path /z*\n}\n",
        ];
        for (dialect, site) in ALL.into_iter().zip(sites) {
            let mut cut = cut % (site.len() + 1);
            while !site.is_char_boundary(cut) { cut -= 1; }
            let text = format!("{}{more}{}", &site[..cut], &site[cut..]);
            let made = import(dialect, &text);
            let passes = Policy::from_toml(&made.text, Path::new("p.toml")).is_ok();
            prop_assert_eq!(passes, made.refused.is_none());
        }
    }
}

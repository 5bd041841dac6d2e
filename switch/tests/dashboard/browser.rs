//! Chromium, driven over the W3C's WebDriver protocol by Debian's chromedriver.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::*;

/// A page of a browser of its own. Both end when this is dropped.
pub struct Page {
    driver: Child,
    port: u16,
    session: String,
}

impl Page {
    /// `None`, and said so, where there is no Chromium.
    pub fn open(test: &str, width: u32, height: u32) -> Option<Self> {
        let spawned = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut driver) = spawned else {
            skip(test, "chromedriver is not installed (chromium-driver)");
            return None;
        };
        let port = port(&mut driver);
        let mut page = Self {
            driver,
            port,
            session: String::new(),
        };
        // Chromium's sandbox needs rights that a container or root may not have.
        let args = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            &format!("--window-size={width},{height}"),
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": args },
        } } });
        let value = page.call("POST", "/session", &wanted);
        let id = value["sessionId"].as_str().expect("a session").to_owned();
        page.session = format!("/session/{id}");
        Some(page)
    }

    pub fn go(&self, address: &str) {
        self.command("POST", "/url", &json!({ "url": address }));
    }

    /// What the body of a function returns.
    pub fn run(&self, script: &str) -> Value {
        let call = json!({ "script": script, "args": [] });
        self.command("POST", "/execute/sync", &call)
    }

    /// The same as text.
    pub fn text(&self, script: &str) -> String {
        self.run(script).as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn wait_for(&self, what: &str, condition: &str) {
        let script = format!("return !!({condition})");
        wait_until(what, || self.run(&script) == Value::Bool(true));
    }

    /// Types into the field that this selector finds, as a person would.
    pub fn write(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        let path = format!("/element/{element}/value");
        self.command("POST", &path, &json!({ "text": text }));
    }

    pub fn click(&self, selector: &str) {
        let element = self.find(selector);
        let path = format!("/element/{element}/click");
        self.command("POST", &path, &json!({}));
    }

    /// What the browser's console has told; answers that are not 2xx are not among it.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.command("POST", "/se/log", &json!({ "type": "browser" }));
        let lines = log.as_array().cloned().unwrap_or_default();
        let told = lines.iter().filter(|line| line["source"] != "network");
        told.map(|line| line["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Milliseconds from the start of the navigation to the first paint.
    pub fn first_paint(&self) -> f64 {
        self.wait_for(
            "something is painted",
            "performance.getEntriesByName('first-contentful-paint').length",
        );
        let script = "return performance.getEntriesByName('first-contentful-paint')[0].startTime";
        self.run(script).as_f64().expect("a time")
    }

    #[track_caller]
    fn find(&self, selector: &str) -> String {
        let query = json!({ "using": "css selector", "value": selector });
        let found = self.command("POST", "/element", &query);
        let (_, id) = found
            .as_object()
            .and_then(|pairs| pairs.iter().next())
            .unwrap_or_else(|| panic!("no {selector}"));
        id.as_str().expect("an id").to_owned()
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        self.call(method, &format!("{}{path}", self.session), body)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.http(method, path, body).expect("chromedriver answers");
        let value = answer["value"].clone();
        let error = value.get("error").filter(|error| error.is_string());
        assert!(error.is_none(), "{path}: {value}");
        value
    }

    fn http(&self, method: &str, path: &str, body: &Value) -> std::io::Result<Value> {
        let body = body.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE * 4))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        )?;
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.is_empty() {
                break;
            }
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer)?;
        Ok(serde_json::from_slice(&answer)?)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // The browser goes with its session, and would outlive a killed driver.
        if !self.session.is_empty() {
            let _ = self.http("DELETE", &self.session, &json!({}));
        }
        std::thread::sleep(Duration::from_millis(50));
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Chromedriver says on which port it listens.
fn port(driver: &mut Child) -> u16 {
    let output = driver.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let port = lines.find_map(|line| {
        let rest = line.split("successfully on port ").nth(1)?;
        rest.trim_end_matches('.').parse().ok()
    });
    // Its pipe is never full.
    std::thread::spawn(move || lines.for_each(drop));
    port.expect("chromedriver tells its port")
}

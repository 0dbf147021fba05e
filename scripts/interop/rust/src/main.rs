//! Uploads a file with tus_client: `client URL FILE`. With TOKEN it sends one; from TOKEN_URL it gets another. With PATIENT it
//! retries for longer.
use reqwest::header::{HeaderMap, AUTHORIZATION};
use std::env::{args, var};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;
use tus_client::{Client, Error};

fn main() -> Result<(), Error> {
    let (url, path) = (args().nth(1).expect("a URL"), args().nth(2).expect("a file"));
    let path = Path::new(&path);
    let mut client = connect(var("TOKEN").ok());
    let mut upload = None;
    let (attempts, pause) = if var("PATIENT").is_ok() { (20, 1) } else { (5, 0) };
    for _ in 1..attempts {
        let failure = match send(&client, &url, path, &mut upload) {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        sleep(Duration::from_secs(pause));
        // HEAD says of a 401, as of every 4xx, that nothing was found.
        if let Error::UnexpectedStatusCode(401) | Error::NotFoundError = failure {
            match (var("TOKEN"), var("TOKEN_URL")) {
                (Ok(_), Ok(source)) => client = connect(reqwest::get(&source).and_then(|mut fresh| fresh.text()).ok()),
                (Ok(_), Err(_)) => return Err(failure),
                (Err(_), _) => {}
            }
        }
    }
    send(&client, &url, path, &mut upload)
}

/// Creates the upload once. `upload` asks the server where to go on.
fn send(client: &Client, url: &str, path: &Path, upload: &mut Option<String>) -> Result<(), Error> {
    let place = match upload.take() {
        Some(place) => place,
        None => client.create(url, path)?,
    };
    client.upload(upload.insert(place), path)
}

fn connect(token: Option<String>) -> Client<'static> {
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        headers.insert(AUTHORIZATION, format!("Bearer {}", token).parse().expect("a token"));
    }
    Client::new(reqwest::Client::builder().default_headers(headers).build().expect("a client"))
}

//! Uploads a file with tus_client: `client URL FILE`.
use std::env::args;
use std::path::Path;
use tus_client::{Client, Error};

fn main() -> Result<(), Error> {
    let (url, path) = (args().nth(1).expect("a URL"), args().nth(2).expect("a file"));
    let path = Path::new(&path);
    let client = Client::new(reqwest::Client::new());
    let upload = client.create(&url, path)?;
    for _ in 0..4 {
        // It asks the server where to go on.
        if client.upload(&upload, path).is_ok() {
            return Ok(());
        }
    }
    client.upload(&upload, path)
}

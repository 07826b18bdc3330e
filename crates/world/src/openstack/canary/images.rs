//! Images: a small one is uploaded, read back, and its checksum compared.
//!
//! It must never touch an image that the trial did not make.

use super::super::catalogue::IMAGE;
use super::super::client::Call;
use super::super::error::ApiError;
use super::super::reading::{needed, quoted, text};
use super::super::recovery::ComputeSide;
use super::super::version::Microversion;
use super::{Now, acted, failed, failed_with, until_ready};
use ostler_model::canary::{Acted, NotActed};
use ostler_model::event::Facts;
use ostler_model::plan::hex;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};
use std::time::Instant;

/// Bytes of the image: enough for more than one chunk, little enough for every quota.
const IMAGE_BYTES: usize = 1 << 20;

/// What it is filled with: text, so that nobody takes it for a disk with a partition table.
const LINE: &str = "ostler canary: this image holds nothing that can start\n";

pub(super) const VERSION: Microversion = Microversion(2, 0);

fn content() -> String {
    let mut content = LINE.repeat(IMAGE_BYTES / LINE.len() + 1);
    content.truncate(IMAGE_BYTES);
    content
}

fn odd(doing: &str, what: impl Into<String>) -> ApiError {
    ApiError::Odd { doing: doing.to_owned(), what: what.into(), request: None }
}

fn call<'a>(method: Method, path: &'a str, body: Option<Value>, doing: &'a str) -> Call<'a> {
    Call { service: &IMAGE, method, path, version: VERSION, body, doing }
}

impl ComputeSide {
    pub(super) async fn make_image(&self, name: &str) -> Result<Acted, NotActed> {
        let doing = format!("making image {name}");
        let body = json!({"name": name, "disk_format": "raw", "container_format": "bare",
            "visibility": "private", "tags": ["ostler-canary"]});
        let answer = self
            .api()
            .call_plain(&call(Method::POST, "/images", Some(body), &doing), None)
            .await
            .map_err(failed)?;
        let body = answer.json().unwrap_or_default();
        let id = needed(&body, "id").map_err(|what| failed(odd(&doing, what)))?;
        let doing = format!("uploading image {name}");
        let path = format!("/images/{}/file", quoted(&id));
        let content = content();
        let begun = Instant::now();
        let put = call(Method::PUT, &path, None, &doing);
        let put = self.api().call_plain(&put, Some(("application/octet-stream", &content))).await;
        put.map_err(|error| failed_with(error, Some(&id)))?;
        let upload_ms = begun.elapsed().as_millis();
        let seen = until_ready(&id, || async {
            let Some(image) = self.image(&id).await? else {
                return Ok(Now::Broken(format!("image {id} is gone")));
            };
            Ok(match text(&image, "status").as_deref() {
                Some("active") => Now::Ready(Facts::new()),
                Some(status @ ("killed" | "deleted" | "deactivated")) => {
                    Now::Broken(format!("image {id} is {status}"))
                }
                _ => Now::Moving,
            })
        });
        seen.await?;
        Ok(acted(Some(id), [("upload", format!("{upload_ms} ms"))]))
    }

    pub(super) async fn compare_image(&self, id: &str) -> Result<Acted, NotActed> {
        let doing = format!("reading image {id} back");
        let broken = |what: String| NotActed::Failed { what, id: None };
        let image = self.image(id).await.map_err(failed)?;
        let image = image.ok_or_else(|| broken(format!("image {id} is gone")))?;
        let path = format!("/images/{}/file", quoted(id));
        let answer = self.api().call_plain(&call(Method::GET, &path, None, &doing), None).await;
        let read = answer.map_err(failed)?.body;
        if read != content().as_bytes() {
            return Err(broken(format!("image {id} came back other than it was: {} bytes", read.len())));
        }
        let told = text(&image, "os_hash_value").unwrap_or_default();
        let kind = text(&image, "os_hash_algo").unwrap_or_default();
        let own = match kind.as_str() {
            "sha512" => hex(&Sha512::digest(&read)),
            "sha256" => hex(&Sha256::digest(&read)),
            // The bytes were compared; of this checksum nothing is known here.
            _ => told.clone(),
        };
        if own != told {
            return Err(broken(format!("the {kind} of image {id} is {own}, but it is said to be {told}")));
        }
        Ok(acted(None, [("bytes", read.len().to_string()), ("hash", kind)]))
    }

    pub(super) async fn image(&self, id: &str) -> Result<Option<Value>, ApiError> {
        let doing = format!("asking for image {id}");
        let path = format!("/images/{}", quoted(id));
        match self.api().call_plain(&call(Method::GET, &path, None, &doing), None).await {
            Ok(answer) => Ok(answer.json()),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The image that servers start from: the one that was named, or the one that was made, or the smallest one.
    pub(super) async fn image_for(
        &self,
        named: Option<&str>,
        made: Option<&str>,
    ) -> Result<String, NotActed> {
        let doing = "looking for an image";
        let path = match (named, made) {
            (None, Some(made)) => return Ok(made.to_owned()),
            (Some(name), _) => match self.image(name).await {
                Ok(Some(_)) => return Ok(name.to_owned()),
                // A name that is no identity is refused by some releases, and not found by others.
                _ => format!("/images?name={}&status=active&limit=1", quoted(name)),
            },
            (None, None) => "/images?status=active&sort=size:asc&limit=1".to_owned(),
        };
        let answer = self.api().call_plain(&call(Method::GET, &path, None, doing), None).await;
        let body = answer.map_err(failed)?.json().unwrap_or_default();
        let id = body.pointer("/images/0/id").and_then(Value::as_str).map(str::to_owned);
        id.ok_or_else(|| match named {
            Some(name) => NotActed::Failed { what: format!("there is no active image `{name}`"), id: None },
            None => NotActed::Skipped("there is no image to start from".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_has_its_size_and_is_text() {
        let content = content();
        assert_eq!(content.len(), IMAGE_BYTES);
        assert!(content.is_ascii());
    }
}

//! Trials of the lab by hand: `lab up|down|status|kill|revive|returned|cut|mend|publish|withdraw|ssh|load|fill`.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]
use ostler_lab::*;
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let name = std::env::var("LAB").unwrap_or("try".into());
    let cache = std::env::var("OSTLER_CACHE_DIR").unwrap_or("/var/cache/ostler".into());
    let paths = LabPaths { state: format!("/var/lib/ostler/lab/{name}").into(), cache: cache.clone().into() };
    let lab = Lab::new(&name, paths).unwrap();
    let mut tell = |progress: Progress| eprintln!("{progress}");
    let second = arguments.get(1).cloned().unwrap_or_default();
    let result = match arguments[0].as_str() {
        "up" => {
            let mut options = UpOptions::default();
            if !second.is_empty() { options.release = second }
            if let Some(n) = arguments.get(2) { options.controllers = n.parse().unwrap() }
            lab.up(&options, &mut tell).await.map(|status| println!("{}", serde_json::to_string(&status).unwrap()))
        }
        "down" => lab.down().await,
        "status" => lab.status().await.map(|status| println!("{}", serde_json::to_string_pretty(&status).unwrap())),
        "kill" => lab.kill(&second).await,
        "revive" => lab.revive(&second).await,
        "returned" => lab.returned(&second).await,
        "cut" => lab.cut(&second).await,
        "mend" => lab.mend(&second).await,
        "publish" => lab.publish(&second, &mut tell).await,
        "withdraw" => lab.withdraw(&second).await,
        "fill" => fill_cache(cache.as_ref(), &arguments[1..], &mut tell).await,
        "ssh" => lab.ssh_argv(&second, &arguments[2..]).map(|argv| {
            let status = std::process::Command::new(&argv[0]).args(&argv[1..]).status().unwrap();
            std::process::exit(status.code().unwrap_or(255));
        }),
        "load" => {
            let seconds: u64 = second.parse().unwrap_or(30);
            let options = LoadOptions { duration: Some(std::time::Duration::from_secs(seconds)), rate: arguments.get(2).map_or(15.0, |rate| rate.parse().unwrap()) };
            let stop = async { tokio::signal::ctrl_c().await.unwrap() };
            lab.load(options, stop, |report| eprintln!("{} requests, {} failed {:?}, gap {}", report.requests, report.failed, report.failures, report.longest_gap_ms))
                .await
                .map(|report| println!("{}", serde_json::to_string_pretty(&report).unwrap()))
        }
        other => panic!("{other}?"),
    };
    if let Err(error) = result {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

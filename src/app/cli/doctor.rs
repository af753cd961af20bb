//! `indicia doctor`

use serde_json::json;

use super::check::named;
use super::failure::write_out;
use super::{COMMAND_LOG_LEVEL, Exit, Failure, Fix as _, Global};
use crate::app::check::{Finding, Weight};
use crate::app::dns::Dns;
use crate::app::doctor::Doctor;
use crate::base::World;
use crate::domain::address::Email;

/// Ask what receivers will ask: SPF, DKIM, DMARC, MX, PTR, TLS, unsubscribing; each finding with its fix
#[derive(Debug, clap::Args)]
pub struct Command {
    /// Also send one mail to this address, from every sender over every route
    #[arg(long, value_name = "ADDRESS")]
    send_to: Option<String>,
}

pub async fn run(command: Command, global: &Global) -> Result<Exit, Failure> {
    let config = global.load()?;
    global.start_log(&config, Some(COMMAND_LOG_LEVEL));
    let send_to = command.send_to.as_deref().map(Email::parse).transpose().fix("write --send-to NAME@DOMAIN")?;
    let dns = Dns::new(&config.dns.servers).fix("name servers in [dns] servers, as in [\"9.9.9.9:53\"]")?;
    let mut doctor = Doctor::new(&config, dns, World::system());
    doctor.examine().await;
    if let Some(address) = &send_to {
        doctor.send(address.as_str()).await;
    }
    let of = |weight| doctor.findings.iter().filter(|finding| finding.weight == weight).collect::<Vec<&Finding>>();
    let (faults, warnings) = (of(Weight::Fault), of(Weight::Warning));
    let (file, is_well) = (named(&config), faults.is_empty());
    if global.json {
        let value = json!({
            "ok": is_well, "config": file, "faults": faults, "warnings": warnings, "sound": doctor.sound,
        });
        write_out(&format!("{value}\n"))?;
    } else {
        doctor.sound.iter().for_each(|sound| eprintln!("sound: {}: {}: {}", sound.part, sound.place, sound.what));
        doctor.findings.iter().for_each(|finding| eprintln!("{finding}"));
        write_out(&format!("{file}: {} faults, {} warnings\n", faults.len(), warnings.len()))?;
    }
    Ok(if is_well { Exit::Done } else { Exit::Failed })
}

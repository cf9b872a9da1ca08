//! scratch
use bench::measure::{
    contestant::*, gauge::Gauge, generator::Generator, results::Kind, scenario::Scenario, stage::Stage,
};
use std::time::Duration;
fn main() -> anyhow::Result<()> {
    let a: Vec<String> = std::env::args().collect();
    let scenario = Scenario::shipped()?.into_iter().find(|s| s.name == a[1]).unwrap();
    let stage = Stage::new(&scenario)?;
    let gauge = Gauge::new(&stage)?;
    let mut generator = Generator::new(&stage, &scenario)?;
    println!("{:?}", generator);
    let programs = Programs { mcr: "target/release/mcr".into(), peer: "target/release/peer".into() };
    for name in a[2].split(',') {
        let c = Contestant { name: name.into(), about: String::new(), kind: Kind::Mcr };
        let r = c.start(&programs, &stage, &scenario)?;
        for rate in a[3].split(',') {
            let rate: f64 = rate.parse()?;
            let (b, t, rb) = (gauge.arrived()?, gauge.times()?, r.received.as_ref().map(|r| r()));
            let made = generator.send((rate > 0.0).then_some(rate), Duration::from_millis(500))?;
            let n = gauge.arrived()?.since(b);
            std::thread::sleep(Duration::from_millis(60));
            let l = gauge.arrived()?.since(b);
            let (lat, jit) = gauge.times()?.since(&t)?;
            println!(
                "{name} rate {rate}: made {} {:.0}/s spare {:?} arrived {} ({:.0}/s in time) late {} strangers {} received {:?} lost {}\n    latency {:?}\n    jitter {:?}",
                made.packets,
                made.rate(),
                made.spare,
                l.packets,
                n.packets as f64 / made.elapsed.as_secs_f64(),
                l.late,
                l.strangers,
                rb.map(|b| (r.received.as_ref().unwrap()() - b) as f64 / made.elapsed.as_secs_f64()),
                made.packets * u64::from(scenario.outputs) - l.packets.min(made.packets * u64::from(scenario.outputs)),
                lat,
                jit
            );
        }
        println!("{:?}", (r.end)()?);
    }
    Ok(())
}

use super::parse;
#[test]
fn x() {
    println!("{:?}", parse("a", ""));
}

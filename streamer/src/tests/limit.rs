//! `LIMIT` of a stream.

use crate::output_mode::OutputMode::{Append, Complete};
use crate::test_kit::TestKit;

#[tokio::test]
async fn the_first_rows_of_all_batches_together_are_given_out() {
    let mut kit = TestKit::new().unwrap();
    let words = kit.stream("words", "word STRING").unwrap();
    let push = |names: &[&str]| {
        let rows: Vec<_> = names.iter().map(|name| format!("{{\"word\":\"{name}\"}}")).collect();
        words.push(&rows.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    };
    let sql = "SELECT word FROM STREAM words WHERE word <> 'no' LIMIT 3";
    let mut query = kit.start(sql, Append).await.unwrap();
    push(&["a", "no", "b"]);
    assert_eq!(query.process_all_available().await.unwrap(), [r#"{"word":"a"}"#, r#"{"word":"b"}"#]);
    assert_eq!(query.state_rows(), [1]);
    assert_eq!(query.progress()[0].state_operators[0].operator_name, "globalLimit");
    let stopped = query.stop().await.unwrap();
    push(&["c", "d"]);
    let mut query = kit.start_again(sql, Append, stopped).await.unwrap();
    assert_eq!(query.process_all_available().await.unwrap(), [r#"{"word":"c"}"#]);
    push(&["e"]);
    assert_eq!(query.process_all_available().await.unwrap(), [""; 0]);
    assert_eq!(query.progress().last().unwrap().num_input_rows, 1);
}

#[tokio::test]
async fn below_an_aggregation_it_limits_the_stream_and_above_it_each_result() {
    let mut kit = TestKit::new().unwrap();
    let words = kit.stream("words", "word STRING").unwrap();
    let below = "SELECT count(*) AS n FROM (SELECT * FROM STREAM words LIMIT 1 + 1) AS w";
    let above = "SELECT word, count(*) AS n FROM STREAM words GROUP BY word ORDER BY n DESC LIMIT 1";
    let mut below = kit.start(below, Complete).await.unwrap();
    let mut above = kit.start(above, Complete).await.unwrap();
    words.push(&[r#"{"word":"a"}"#, r#"{"word":"b"}"#, r#"{"word":"b"}"#]).unwrap();
    assert_eq!(below.process_all_available().await.unwrap(), [r#"{"n":2}"#]);
    assert_eq!(above.process_all_available().await.unwrap(), [r#"{"word":"b","n":2}"#]);
    words.push(&[r#"{"word":"a"}"#, r#"{"word":"a"}"#]).unwrap();
    assert_eq!(below.process_all_available().await.unwrap(), [r#"{"n":2}"#]);
    assert_eq!(above.process_all_available().await.unwrap(), [r#"{"word":"a","n":3}"#]);
}

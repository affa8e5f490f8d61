use crate::stack::Stack;

#[tokio::test(flavor = "multi_thread")]
async fn secret_is_read_and_changed() {
    let stack = Stack::start().await;
    stack.aws.set_secret("live-classes/config", r#"{"a":1}"#).await.unwrap();
    let client = stack.secrets();
    let get = || client.get_secret_value().secret_id("live-classes/config").send();
    assert_eq!(get().await.unwrap().secret_string(), Some(r#"{"a":1}"#));

    let put = client.put_secret_value().secret_id("live-classes/config").secret_string("new");
    put.send().await.unwrap();
    assert_eq!(get().await.unwrap().secret_string(), Some("new"));
    stack.aws.set_secret("live-classes/config", "newer").await.unwrap();
    assert_eq!(get().await.unwrap().secret_string(), Some("newer"));

    let missing = client.get_secret_value().secret_id("nothing").send().await;
    assert!(missing.unwrap_err().into_service_error().is_resource_not_found_exception());
}

//! Runs blocking readers and parsers beside the store's work, few at a time and in order.

use super::blocks::{LineBlock, LineBlocks};
use super::{Block, Blocks};
use crate::error::{Error, Result};
use futures::stream::{BoxStream, Stream, StreamExt, unfold};
use std::io::Read;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

/// So many items may wait between a reader and its consumer.
const ITEMS_WAITING_MAX: usize = 2;

/// What turns lines into rows.
pub(super) type BlockParser = Arc<dyn Fn(LineBlock) -> Result<Block> + Send + Sync>;

/// A stream of what `produce` gives on a thread of its own until it gives `None`. The thread ends
/// soon after the stream is dropped.
pub(super) fn pump<T: Send + 'static>(
    mut produce: impl FnMut() -> Result<Option<T>> + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    let (sender, receiver) = mpsc::channel(ITEMS_WAITING_MAX);
    spawn_blocking(move || {
        loop {
            let item = produce();
            let is_last = !matches!(item, Ok(Some(_)));
            if sender.blocking_send(item).is_err() || is_last {
                return;
            }
        }
    });
    unfold(Some(receiver), next_item).boxed()
}

/// The end is told in so many words: a channel that closes without it means that the reader died,
/// and a part of the input must never pass for the whole.
async fn next_item<T>(
    receiver: Option<mpsc::Receiver<Result<Option<T>>>>,
) -> Option<(Result<T>, Option<mpsc::Receiver<Result<Option<T>>>>)> {
    let mut receiver = receiver?;
    match receiver.recv().await {
        Some(Ok(Some(item))) => Some((Ok(item), Some(receiver))),
        Some(Ok(None)) => None,
        Some(Err(error)) => Some((Err(error), None)),
        None => Some((Err(Error::Internal("the reader of the input died".into())), None)),
    }
}

/// The blocks of lines of a reader.
pub(super) fn line_blocks(
    name: String,
    reader: impl Read + Send + 'static,
) -> BoxStream<'static, Result<LineBlock>> {
    let mut blocks = LineBlocks::new(reader);
    pump(move || blocks.next_block().map_err(|source| Error::input(&name, "read", source)))
}

/// Parses blocks on up to `threads` threads; the answers keep the order of the blocks.
pub(super) fn parse_in_order(
    blocks: impl Stream<Item = Result<LineBlock>> + Send + 'static,
    parser: BlockParser,
    threads: usize,
) -> Blocks {
    let parse = move |block: Result<LineBlock>| {
        let parser = parser.clone();
        async move {
            let block = block?;
            spawn_blocking(move || parser(block))
                .await
                .map_err(|_| Error::Internal("the parser of the input died".into()))?
        }
    };
    blocks.map(parse).buffered(threads.max(1)).boxed()
}

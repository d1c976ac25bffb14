//! How answers are written: the one module that knows what the messages look like.

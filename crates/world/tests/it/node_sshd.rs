//! SSH against a real sshd.

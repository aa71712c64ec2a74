//! What can be wrong with a command, as Redis words it.

use std::fmt;

/// Why a command did nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    WrongType,
    WrongArguments(&'static str),
    Syntax,
    NotAnInteger,
    NotPositive,
    Overflow,
    OverflowDecrementing,
    ValueTooLong,
    ExpireTime(&'static str),
    UnsupportedOption(String),
    HelloOption(String),
    UnknownCommand(String),
    UnknownSubcommand(String, &'static str),
    ExpireOptionsWithNx,
    ExpireOptionsGtAndLt,
    NoSuchDatabase,
    ClientName,
    ProtocolVersion,
    ProtocolNotANumber,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::WrongType => "WRONGTYPE Operation against a key holding the wrong kind of value",
            Failure::WrongArguments(name) => {
                return write!(f, "ERR wrong number of arguments for '{name}' command");
            }
            Failure::Syntax => "ERR syntax error",
            Failure::NotAnInteger => "ERR value is not an integer or out of range",
            Failure::NotPositive => "ERR value is out of range, must be positive",
            Failure::Overflow => "ERR increment or decrement would overflow",
            Failure::OverflowDecrementing => "ERR decrement would overflow",
            Failure::ValueTooLong => "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            Failure::ExpireTime(name) => {
                return write!(f, "ERR invalid expire time in '{name}' command");
            }
            Failure::UnsupportedOption(option) => return write!(f, "ERR Unsupported option {option}"),
            Failure::HelloOption(option) => return write!(f, "ERR Syntax error in HELLO option '{option}'"),
            Failure::UnknownCommand(what) => return write!(f, "ERR unknown command {what}"),
            Failure::UnknownSubcommand(word, command) => {
                return write!(f, "ERR unknown subcommand '{word}'. Try {command} HELP.");
            }
            Failure::ExpireOptionsWithNx => {
                "ERR NX and XX, GT or LT options at the same time are not compatible"
            }
            Failure::ExpireOptionsGtAndLt => "ERR GT and LT options at the same time are not compatible",
            Failure::NoSuchDatabase => "ERR DB index is out of range",
            Failure::ClientName => "ERR Client names cannot contain spaces, newlines or special characters.",
            Failure::ProtocolVersion => "NOPROTO unsupported protocol version",
            Failure::ProtocolNotANumber => "ERR Protocol version is not an integer or out of range",
        })
    }
}

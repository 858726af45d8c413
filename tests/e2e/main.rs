//! Everything together: real processes, RabbitMQ, PostgreSQL, the simulator, and clients that are not ours.

mod tidy;

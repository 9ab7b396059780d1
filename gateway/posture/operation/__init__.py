"""What the commands of `gateway posture` do: each function takes a `Desk` and gives the document that is printed."""

"""What EPCIS 2.0 and its vocabulary say of documents, events and identifiers; pure."""

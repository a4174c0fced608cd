"""What runs where, and how it got there: read from AWS, shown on one screen."""

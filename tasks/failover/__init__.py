"""What an account in trouble has certainly not sent goes to another account of its route."""

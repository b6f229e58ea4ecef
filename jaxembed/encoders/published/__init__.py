"""Published encoders: files that others have trained, as encoders of ours."""

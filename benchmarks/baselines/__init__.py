"""What others would write for the same job, frozen as programs so that ratios mean the same next year."""

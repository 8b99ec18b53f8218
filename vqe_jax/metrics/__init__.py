"""Quality metrics, each with its protocol written down."""

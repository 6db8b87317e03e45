"""From the outside world to the registry: translate, reconcile, apply."""

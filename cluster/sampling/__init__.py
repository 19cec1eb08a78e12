"""From a plan to stored responses: preparation, executors, progress, estimates."""

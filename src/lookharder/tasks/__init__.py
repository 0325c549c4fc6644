"""What a task is: an annotation as an image, the image as an annotation, and how members are merged."""

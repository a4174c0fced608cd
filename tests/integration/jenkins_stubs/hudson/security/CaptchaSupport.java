package hudson.security;

public abstract class CaptchaSupport { }
